/* Services whose sessions run what a customer wants. Daemons such as dovecot are not among them:
 * their workers open sessions for many users and stay where they were put. Made by
 * scripts/checking/pam_services.py: do not edit. */
#ifndef PAAS_ISOLATE_SERVICES_H
#define PAAS_ISOLATE_SERVICES_H

/* clang-format off */
static const char *const services[] = {
	"sshd", "login", "su", "su-l", "sudo", "sudo-i", "runuser", "runuser-l", "cron",
	"crond", "atd", "vsftpd", "proftpd", "pure-ftpd", "systemd-user", "remote", "rsh",
	"screen", "tmux", "cockpit", "xrdp-sesman",
};
/* clang-format on */

#endif

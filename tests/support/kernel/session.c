/* Opens one PAM session and tells what became of it: session CONFDIR SERVICE USER [FILE]
 *
 * Prints three lines: the answer of pam_open_session(3), what was said to the user, and the cgroup afterwards; then what
 * FILE has, as whoever the session is for would find it.
 * getpgid(2) stands around the call, for whoever counts system calls; stderr has how many microseconds it took. The
 * modules have been loaded by then, and the user been looked up, as in a login: sshd does both before.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <security/pam_appl.h>

static char said[1024];

static int hear(int count, const struct pam_message **messages, struct pam_response **answers, void *data)
{
	(void)data;
	for (int i = 0; i < count; i++)
		strncat(said, messages[i]->msg, sizeof said - strlen(said) - 1);
	*answers = calloc((size_t)count, sizeof **answers);
	return *answers ? PAM_SUCCESS : PAM_BUF_ERR;
}

int main(int argc, char **argv)
{
	const struct pam_conv conversation = {hear, NULL};
	pam_handle_t *pamh = NULL;
	struct timespec begun, ended;
	char cgroup[4096];
	FILE *file;
	int answer;

	if (argc < 4 || pam_start_confdir(argv[2], argv[3], &conversation, argv[1], &pamh) != PAM_SUCCESS)
		return 2;
	(void)getpwnam(argv[3]);
	(void)pam_setcred(pamh, PAM_ESTABLISH_CRED);
	(void)!getpgid(0);
	clock_gettime(CLOCK_MONOTONIC, &begun);
	answer = pam_open_session(pamh, 0);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	(void)!getpgid(0);
	fprintf(stderr, "%.1f\n", (double)(ended.tv_sec - begun.tv_sec) * 1e6 + (double)(ended.tv_nsec - begun.tv_nsec) / 1e3);
	printf("%d\n%s\n", answer, said);
	file = fopen("/proc/self/cgroup", "r");
	while (file && fgets(cgroup, sizeof cgroup, file))
		if (!strncmp(cgroup, "0::", 3))
			fputs(cgroup + 3, stdout);
	if (file)
		fclose(file);
	file = argc > 4 ? fopen(argv[4], "r") : NULL;
	while (file && fgets(cgroup, sizeof cgroup, file))
		fputs(cgroup, stdout);
	if (file)
		fclose(file);
	return pam_end(pamh, answer) == PAM_SUCCESS ? 0 : 2;
}

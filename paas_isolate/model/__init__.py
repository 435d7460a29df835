"""What an administrator sold, and what the kernel has: frozen data without effects.

Nothing here reads a file, looks at a clock or knows how anything is carried out.
"""

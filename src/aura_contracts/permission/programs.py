"""Programs: which of them run their arguments, or a text in one. Pure."""

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "rbash", "pwsh"})

RUNNERS = SHELLS | frozenset(
    {
        *("env", "sudo", "doas", "su", "runuser", "setpriv", "nohup", "nice", "ionice", "chrt", "taskset", "time"),
        *("timeout", "stdbuf", "setsid", "setarch", "linux32", "linux64", "unbuffer", "script", "xargs", "parallel"),
        *("command", "builtin", "exec", "eval", "trap", "watch", "entr", "find", "fd", "fdfind", "caffeinate"),
        *("strace", "ltrace", "gdb", "valgrind", "flock", "chroot", "unshare", "nsenter", "systemd-run", "busybox"),
        *("toybox", "ssh", "alias", "mapfile", "readarray", "complete", "bind", "fakeroot", "proot", "bwrap"),
        *("firejail", "tini", "dumb-init", "xvfb-run", "dbus-run-session"),
    }
)
"""Programs whose arguments may be a command, or the text of one."""

RUN_NOTHING = frozenset(
    {
        *(
            "echo",
            "printf",
            "grep",
            "egrep",
            "fgrep",
            "rg",
            "ag",
            "ls",
            "cat",
            "head",
            "tail",
            "wc",
            "uniq",
            "cut",
            "tr",
        ),
        *("which", "type", "whereis", "cd", "pwd", "mkdir", "touch", "cp", "mv", "rm", "rmdir", "ln", "chmod", "chown"),
        *("diff", "cmp", "true", "false", "sleep", "date", "stat", "file", "basename", "dirname", "realpath", "tee"),
        *("jq", "for"),
    }
)
"""Programs that run nothing of their arguments."""

RUN_TEXTS = frozenset(
    {
        *("less", "more", "sort", "sed", "man", "test", "[", "git", "export", "unset", "set", "apt", "apt-get", "brew"),
        *("pip", "pip3", "npm", "pnpm", "yarn", "cargo", "go", "pytest", "tar", "gh"),
    }
)
"""Programs that run none of their arguments, but may run the text in one. Any other program may do both."""

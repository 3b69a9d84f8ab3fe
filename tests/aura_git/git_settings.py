"""What each setting of git does that matters where an agent can write it: ``git help --config``, up to git 2.55.

A setting whose value is run stands with a script in which git runs it, so that a test can show that it still does.
`$TRAP` is the program, `$O` another repository; keys are as git lists them, patterns as `fnmatch` reads them.
"""

from typing import NamedTuple

LOOKED_AT = (2, 55)
"""The newest git whose settings are here."""


class Program(NamedTuple):
    """A setting that has git run a program."""

    key: str
    """As it is written, with names in place of `<name>`."""
    script: str
    """Commands of plain git that run it."""
    value: str = "$TRAP"
    since: tuple[int, int] = (0, 0)
    more: tuple[tuple[str, str], ...] = ()
    """Other settings that it needs."""
    protected: bool = False
    """Git takes it from the user's own configuration only, not from a repository's."""


_ATTRIBUTES = "echo '* filter=x diff=x merge=x' > .gitattributes; echo x >> a.txt;"
_CONFLICT = (
    "git checkout -q -b y; echo y >> a.txt; git commit -qam y; git checkout -q -; echo z >> a.txt; git commit -qam z;"
)
_CREDENTIAL = r"printf 'protocol=https\nhost=h\n\n' | git credential fill"
_TERMINAL = "python3 -c 'import pty, sys; pty.spawn(sys.argv[1:])'"
_MAIL = r"printf 'From a@b Mon Sep 17 00:00:00 2001\nFrom: x\nDate: x\nSubject: x\n\nx\n' | git imap-send"

PROGRAMS = {
    "alias.*": Program("alias.x", "git x", "!$TRAP"),
    "alias.*.command": Program("alias.x.command", "git x", "!$TRAP", (2, 54)),
    "browser.<tool>.cmd": Program("browser.x.cmd", "git web--browse -t x file:///x"),
    "browser.<tool>.path": Program("browser.firefox.path", "git web--browse -t firefox file:///x; sleep 0.2"),
    "core.alternateRefsCommand": Program(
        "core.alternateRefsCommand",
        "echo $O/.git/objects > .git/objects/info/alternates; git receive-pack .git < /dev/null",
    ),
    "core.askPass": Program("core.askPass", _CREDENTIAL),
    "core.editor": Program("core.editor", "git commit --allow-empty"),
    "core.fsmonitor": Program("core.fsmonitor", "git status"),
    "core.gitProxy": Program("core.gitProxy", "git ls-remote git://h/x"),
    "core.hooksPath": Program("core.hooksPath", "git commit --allow-empty -m x", "$HOOKS"),
    "core.pager": Program("core.pager", f"{_TERMINAL} git log"),
    "core.sshCommand": Program("core.sshCommand", "git ls-remote ssh://h/x"),
    "credential.<url>.*": Program("credential.https://h.helper", _CREDENTIAL, "!$TRAP"),
    "credential.helper": Program("credential.helper", _CREDENTIAL, "!$TRAP"),
    "diff.<driver>.command": Program("diff.x.command", f"{_ATTRIBUTES} git diff"),
    "diff.<driver>.textconv": Program("diff.x.textconv", f"{_ATTRIBUTES} git diff"),
    "diff.external": Program("diff.external", f"{_ATTRIBUTES} git diff"),
    "difftool.<tool>.cmd": Program("difftool.x.cmd", f"{_ATTRIBUTES} git difftool -y -t x"),
    "difftool.<tool>.path": Program("difftool.meld.path", f"{_ATTRIBUTES} git difftool -y -t meld"),
    "filter.<driver>.clean": Program("filter.x.clean", f"{_ATTRIBUTES} git add ."),
    "filter.<driver>.process": Program("filter.x.process", f"{_ATTRIBUTES} git add ."),
    "filter.<driver>.smudge": Program("filter.x.smudge", f"{_ATTRIBUTES} git checkout -f a.txt"),
    "gc.recentObjectsHook": Program(
        "gc.recentObjectsHook",
        "echo x | git hash-object -w --stdin; touch -d 2001-01-01 .git/objects/*/*; git prune --expire=1.day.ago",
        since=(2, 42),
    ),
    "gpg.<format>.program": Program("gpg.openpgp.program", "git commit --allow-empty -m x -S1"),
    "gpg.program": Program("gpg.program", "git commit --allow-empty -m x -S1"),
    "gpg.ssh.defaultKeyCommand": Program(
        "gpg.ssh.defaultKeyCommand", "git commit --allow-empty -m x -S", more=(("gpg.format", "ssh"),)
    ),
    "hook.<friendly-name>.command": Program(
        "hook.x.command", "git commit --allow-empty -m x", since=(2, 54), more=(("hook.x.event", "pre-commit"),)
    ),
    "imap.tunnel": Program("imap.tunnel", _MAIL, more=(("imap.folder", "x"),)),
    "include.path": Program("include.path", "git x", "$MORE"),
    "includeIf.<condition>.path": Program("includeIf.gitdir:**.path", "git x", "$MORE"),
    "interactive.diffFilter": Program(
        "interactive.diffFilter",
        f"echo x >> a.txt; {_TERMINAL} git add -p",
    ),
    "man.<tool>.cmd": Program("man.x.cmd", "git help -m log", more=(("man.viewer", "x"),)),
    "man.<tool>.path": Program("man.man.path", "git help -m log", more=(("man.viewer", "man"),)),
    "merge.<driver>.driver": Program("merge.x.driver", f"{_CONFLICT} {_ATTRIBUTES} git checkout a.txt; git merge y"),
    "mergetool.<tool>.cmd": Program("mergetool.x.cmd", f"{_CONFLICT} git merge y; git mergetool -y -t x"),
    "mergetool.<tool>.path": Program("mergetool.meld.path", f"{_CONFLICT} git merge y; git mergetool -y -t meld"),
    "pager.<cmd>": Program("pager.log", f"{_TERMINAL} git log"),
    "remote.<name>.receivepack": Program("remote.e.receivepack", "git push e HEAD", more=(("remote.e.url", "$O"),)),
    "remote.<name>.uploadpack": Program("remote.e.uploadpack", "git fetch e", more=(("remote.e.url", "$O"),)),
    "remote.<name>.promisor": Program(
        "remote.e.promisor",
        "rm .git/objects/$(git rev-parse HEAD:a.txt | sed 's,^..,&/,'); git show HEAD:a.txt",
        "true",
        more=(("remote.e.url", "$O"), ("remote.e.uploadpack", "$TRAP"), ("extensions.partialClone", "e")),
    ),
    "remote.<name>.url": Program("remote.e.url", "git fetch e", "ext::$TRAP", more=(("protocol.ext.allow", "always"),)),
    "remote.<name>.pushurl": Program(
        "remote.e.pushurl", "git push e HEAD", "ext::$TRAP", more=(("protocol.ext.allow", "always"),)
    ),
    "remote.<name>.vcs": Program(
        "remote.e.vcs", "git fetch e", "ext", more=(("protocol.ext.allow", "always"), ("remote.e.url", "$TRAP"))
    ),
    "sequence.editor": Program("sequence.editor", "git commit -qm x --allow-empty; git rebase -i HEAD~"),
    "submodule.<name>.update": Program(
        "submodule.s.update",
        "git -c protocol.file.allow=always submodule add -q $O s; git commit -qm s; git config submodule.s.update"
        ' "!$TRAP"; git -C s checkout -q --orphan o; git -C s commit -qm o --allow-empty; git submodule update',
        "checkout",
    ),
    "trailer.<key-alias>.cmd": Program("trailer.x.cmd", "echo | git interpret-trailers --trailer x=1"),
    "trailer.<key-alias>.command": Program("trailer.x.command", "echo | git interpret-trailers --trailer x=1"),
    "uploadpack.packObjectsHook": Program(
        "uploadpack.packObjectsHook", "git clone -q --no-local $PWD $O/c", protected=True
    ),
    "url.<base>.insteadOf": Program(
        "url.ext::$TRAP .insteadOf", "git ls-remote x:y", "x:", more=(("protocol.ext.allow", "always"),)
    ),
    "url.<base>.pushInsteadOf": Program(
        "url.ext::$TRAP .pushInsteadOf", "git push x:y HEAD", "x:", more=(("protocol.ext.allow", "always"),)
    ),
    "web.browser": Program("web.browser", "git web--browse file:///x", "x", more=(("browser.x.cmd", "$TRAP"),)),
}
"""Settings whose value, or what it leads to, is run."""

ELSEWHERE = """
    guitool.<name>.cmd help.browser instaweb.browser instaweb.httpd instaweb.modulePath man.viewer diff.tool
    diff.guitool merge.tool merge.guitool sendemail.<identity>.* sendemail.<identity>.<config> sendemail.ccCmd
    sendemail.headerCmd sendemail.smtpServer sendemail.toCmd sendemail.tocmd sendemail.multiEdit
    http.<url>.* remote.<name>.proxy http.proxy receive.procReceiveRefs remotes.<group> completion.commands
"""
"""Settings that name programs, or choose one, for commands that are no part of git's core, or are never run by AURA."""

WRITTEN = """
    fsmonitor.socketDir format.outputDirectory gc.repackFilterTo gitcvs.logFile gitcvs.dbName gitcvs.dbDriver
    http.cookieFile http.saveCookies imap.folder sendemail.imapSentFolder trace2.eventTarget trace2.normalTarget
    trace2.perfTarget extensions.refStorage submodule.<name>.gitdir repack.updateServerInfo receive.updateServerInfo
    core.lockfilePid
"""
"""Settings that name what git writes, or have it write more."""

READ = """
    attr.tree blame.ignoreRevsFile bundle.<id>.uri bundle.<id>.* bundle.* commit.template core.attributesFile
    core.excludesFile core.notesRef diff.orderFile fetch.bundleURI fetch.bundleCreationToken fetch.fsck.skipList
    format.signatureFile fsck.skipList gpg.ssh.allowedSignersFile gpg.ssh.revocationFile gui.spellingDictionary
    help.htmlPath http.proxySSLCAInfo http.proxySSLCert http.proxySSLKey http.sslCAInfo http.sslCAPath http.sslCert
    http.sslKey init.templateDir mailmap.blob mailmap.file receive.fsck.skipList sendemail.aliasesFile
    sendemail.mailmap.blob sendemail.mailmap.file sendemail.smtpsslcertpath sendemail.smtpSSLCertPath
    sendemail.smtpSSLClientCert sendemail.smtpSSLClientKey transfer.bundleURI user.signingKey
"""
"""Settings that name what git reads."""

PLACES = """
    core.bare core.repositoryFormatVersion core.sparseCheckout core.sparseCheckoutCone core.worktree
    core.sharedRepository core.symlinks core.ignoreCase core.precomposeUnicode core.fileMode core.protectHFS
    core.protectNTFS core.splitIndex core.ignoreStat core.trustctime core.checkStat core.untrackedCache
    core.fsmonitorHookVersion core.preferSymlinkRefs core.logAllRefUpdates core.autocrlf core.eol core.safecrlf
    core.commitGraph core.multiPackIndex core.useReplaceRefs core.unsetenvvars core.restrictinheritedhandles
    extensions.* extensions.objectFormat extensions.worktreeConfig index.sparse remote.<name>.fetch remote.<name>.push
    remote.<name>.mirror remote.<name>.partialclonefilter safe.bareRepository safe.directory submodule.<name>.active
    submodule.<name>.ignore submodule.<name>.url submodule.active submodule.recurse submodule.alternateLocation
    sparse.expectFilesOutsideOfPatterns protocol.<name>.allow protocol.allow merge.renormalize merge.<driver>.recursive
    diff.<driver>.binary diff.<driver>.cachetextconv diff.<driver>.trustExitCode diff.trustExitCode
    diff.ignoreSubmodules commit.gpgSign tag.gpgSign push.gpgSign tag.forceSignAnnotated rerere.enabled
    rerere.autoUpdate worktree.useRelativePaths worktree.guessRemote hook.<event>.enabled hook.<event>.jobs
    hook.<friendly-name>.enabled hook.<friendly-name>.event hook.<friendly-name>.parallel hook.jobs gpg.format
    gc.auto gc.autoDetach maintenance.auto maintenance.autoDetach maintenance.<task>.schedule
    maintenance.<task>.enabled interactive.singleKey receive.autogc init.defaultSubmodulePathConfig
"""
"""Settings that say which files and objects count, or whether a program is run that another setting names."""

HARMLESS = """
    add.ignoreErrors add.interactive.useBuiltin advice.* am.* apply.* author.* bitmapPseudoMerge.* blame.blankBoundary
    blame.coloring blame.date blame.markIgnoredLines blame.markUnblamableLines blame.showEmail blame.showRoot
    branch.<name>.* branch.autoSetupMerge branch.autoSetupRebase branch.sort bundle.heuristic bundle.mode
    bundle.version checkout.* clean.requireForce clone.* color.* column.* commit.cleanup commit.status commit.verbose
    commitGraph.* committer.* core.abbrev core.alternateRefsPrefixes core.bigFileThreshold
    core.checkRoundtripEncoding core.commentChar core.commentString core.compression core.configLockTimeout
    core.createObject core.deltaBaseCacheLimit core.filesRefLockTimeout core.fsync core.fsyncMethod
    core.fsyncObjectFiles core.hideDotFiles core.looseCompression core.maxTreeDepth core.packedGitLimit
    core.packedGitWindowSize core.packedRefsTimeout core.preloadIndex core.quotePath core.warnAmbiguousRefs
    core.whitespace credential.interactive credential.protectProtocol credential.sanitizePrompt
    credential.useHttpPath credential.username credentialCache.ignoreSIGHUP credentialStore.lockTimeoutMS
    diff.<driver>.wordRegex diff.<driver>.xfuncname diff.algorithm diff.autoRefreshIndex diff.colorMoved
    diff.colorMovedWS diff.context diff.dirstat diff.dstPrefix diff.indentHeuristic diff.interHunkContext
    diff.mnemonicPrefix diff.noPrefix diff.relative diff.renameLimit diff.renames diff.srcPrefix diff.statGraphWidth
    diff.statNameWidth diff.submodule diff.suppressBlankEmpty diff.wordRegex diff.wsErrorHighlight difftool.guiDefault
    difftool.prompt difftool.trustExitCode fastimport.unpackLimit feature.* fetch.all fetch.followRemoteHEAD
    fetch.fsck.<msg-id> fetch.fsckObjects fetch.negotiationAlgorithm fetch.output fetch.parallel fetch.prune
    fetch.pruneTags fetch.recurseSubmodules fetch.showForcedUpdates fetch.unpackLimit fetch.writeCommitGraph
    format.attach format.cc format.commitListFormat format.coverFromDescription format.coverLetter
    format.encodeEmailHeaders format.filenameMaxLength format.forceInBodyFrom format.from format.headers format.mboxrd
    format.noprefix format.notes format.numbered format.pretty format.signOff format.signature format.subjectPrefix
    format.suffix format.thread format.to format.useAutoBase fsck.<msg-id> fsck.[!s]* fsck.sym* fsmonitor.allowRemote
    gc.<pattern>.reflogExpire gc.<pattern>.reflogExpireUnreachable gc.aggressiveDepth gc.aggressiveWindow
    gc.autoPackLimit gc.bigPackThreshold gc.cruftPacks gc.logExpiry gc.maxCruftSize gc.packRefs gc.pruneExpire
    gc.reflogExpire gc.reflogExpireUnreachable gc.repackFilter gc.rerereResolved gc.rerereUnresolved
    gc.worktreePruneExpire gc.writeCommitGraph gitcvs.allBinary gitcvs.commitMsgAnnotation gitcvs.dbPass
    gitcvs.dbTableNamePrefix gitcvs.dbUser gitcvs.enabled gitcvs.usecrlfattr gitweb.* gpg.minTrustLevel grep.*
    gui.GCWarning gui.blamehistoryctx gui.commitMsgWidth gui.copyBlameThreshold gui.diffContext gui.displayUntracked
    gui.encoding gui.fastCopyBlame gui.matchTrackingBranch gui.newBranchTemplate gui.pruneDuringFetch gui.trustmtime
    guitool.<name>.argPrompt guitool.<name>.confirm guitool.<name>.needsFile guitool.<name>.noConsole
    guitool.<name>.noRescan guitool.<name>.prompt guitool.<name>.revPrompt guitool.<name>.revUnmerged
    guitool.<name>.title hasconfig:remote.*.url help.autoCorrect help.format http.curloptResolve http.delegation
    http.emptyAuth http.extraHeader http.followRedirects http.keepAlive* http.lowSpeed* http.max* http.minSessions
    http.noEPSV http.pinnedPubkey http.postBuffer http.proactiveAuth http.proxyAuthMethod
    http.proxySSLCertPasswordProtected http.retryAfter http.schannel* http.sslBackend http.sslCertPasswordProtected
    http.sslCertType http.sslCipherList http.sslKeyType http.sslTry http.sslVerify http.sslVersion http.userAgent
    http.version i18n.* imap.authMethod imap.host imap.pass imap.port imap.preformattedHTML imap.sslverify imap.user
    index.recordEndOfIndexEntries index.recordOffsetTable index.skipHash index.threads index.version
    init.defaultBranch init.defaultObjectFormat init.defaultRefFormat instaweb.local instaweb.port log.* lsrefs.unborn
    mailinfo.scissors maintenance.*.auto maintenance.*.batchSize maintenance.*.splitFactor maintenance.strategy
    merge.<driver>.name merge.autoStash merge.branchdesc merge.conflictStyle merge.defaultToUpstream
    merge.directoryRenames merge.ff merge.log merge.renameLimit merge.renames merge.stat merge.suppressDest
    merge.verbosity merge.verifySignatures mergetool.<tool>.hideResolved mergetool.<tool>.trustExitCode
    mergetool.<variant>.layout mergetool.guiDefault mergetool.hideResolved mergetool.keepBackup
    mergetool.keepTemporaries mergetool.meld.* mergetool.prompt mergetool.vimdiff.layout mergetool.writeToTemp notes.*
    pack.* pretty.<name> promisor.* protocol.version pull.* push.autoSetupRemote push.default push.followTags
    push.negotiate push.pushOption push.recurseSubmodules push.useBitmaps push.useForceIfIncludes rebase.*
    receive.advertise* receive.certNonce* receive.deny* receive.fsck.<msg-id> receive.fsck.[!s]* receive.fsck.sym*
    receive.fsckObjects receive.hideRefs receive.keepAlive receive.maxInputSize receive.shallowUpdate
    receive.unpackLimit reftable.* remote.<name>.advertisedAs remote.<name>.followRemoteHEAD
    remote.<name>.negotiation* remote.<name>.proxyAuthMethod remote.<name>.prune remote.<name>.pruneTags
    remote.<name>.serverOption remote.<name>.skip* remote.<name>.tagOpt remote.pushDefault repack.cruft* repack.midx*
    repack.packKeptObjects repack.useDelta* repack.writeBitmaps replay.refAction revert.reference
    sendemail.aliasFileType sendemail.annotate sendemail.bcc sendemail.cc sendemail.chainReplyTo sendemail.confirm
    sendemail.envelopeSender sendemail.forbidSendmailVariables sendemail.from sendemail.identity sendemail.mailmap
    sendemail.outlookidfix sendemail.signedOffByCc sendemail.smtpBatchSize sendemail.smtpDomain
    sendemail.smtpEncryption sendemail.smtpPass sendemail.smtpReloginDelay sendemail.smtpServerOption
    sendemail.smtpServerPort sendemail.smtpUser sendemail.suppressCc sendemail.suppressFrom sendemail.thread
    sendemail.to sendemail.transferEncoding sendemail.useImapOnly sendemail.validate sendemail.xmailer showBranch.*
    sideband.* splitIndex.* ssh.variant stash.* status.* submodule.<name>.branch
    submodule.<name>.fetchRecurseSubmodules submodule.alternateErrorStrategy submodule.fetchJobs
    submodule.propagateBranches tag.sort tar.umask trace2.configParams trace2.destinationDebug trace2.envVars
    trace2.eventBrief trace2.eventNesting trace2.maxFiles trace2.normalBrief trace2.perfBrief trailer.*.if*
    trailer.*.key trailer.*.where trailer.if* trailer.separators trailer.where transfer.advertise*
    transfer.credentialsInUrl transfer.fsckObjects transfer.hideRefs transfer.unpackLimit uploadarchive.*
    uploadpack.allow* uploadpack.hideRefs uploadpack.keepAlive uploadpackfilter.* user.email user.name
    user.useConfigOnly versionsort.suffix
"""
"""Settings that change what is displayed or sent, what things are called, and how much is done at once."""

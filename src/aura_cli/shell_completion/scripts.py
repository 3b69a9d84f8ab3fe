"""Scripts: one per shell. Each finds the command in the words before the cursor, then looks up in a table what may
come next; ids come from ``_aura_ids KIND``.
"""

from collections.abc import Iterable, Mapping

from aura_cli.shell_completion.tree import Candidates


def script_for(shell: str, table: Mapping[str, Candidates]) -> str:
    """Return the script for a shell: bash, zsh, fish or powershell."""
    rows, template = {
        "bash": (_posix_rows(table, described=False), _BASH),
        "zsh": (_posix_rows(table, described=True), _ZSH),
        "fish": (_fish_rows(table), _FISH),
        "powershell": (_powershell_rows(table), _POWERSHELL),
    }[shell]
    return template.lstrip("\n").replace("@TABLE@", "\n".join(rows))


def _posix_rows(table: Mapping[str, Candidates], *, described: bool) -> Iterable[str]:
    for key, each in table.items():
        yield f"    {_quoted(key)}) {_posix_command(each, described=described)} ;;"


def _posix_command(each: Candidates, *, described: bool) -> str:
    if each.files:
        return "echo '<files>'"
    if each.ids:
        return f"_aura_ids {each.ids}"
    if described:
        words = [_quoted(f"{word.replace(':', chr(92) + ':')}:{about}") for word, about in each.words]
    else:
        words = [_quoted(word) for word, _ in each.words]
    return f"printf '%s\\n' {' '.join(words)}" if words else ":"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_rows(table: Mapping[str, Candidates]) -> Iterable[str]:
    for key, each in table.items():
        yield f"        case {_fish_quoted(key)}"
        if each.files:
            yield "            __fish_complete_path (commandline -ct)"
        elif each.ids:
            yield f"            _aura_ids {each.ids}"
        elif each.words:
            words = " ".join(_fish_quoted(f"{word}\t{about}") for word, about in each.words)
            yield f"            printf '%s\\n' {words}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell_rows(table: Mapping[str, Candidates]) -> Iterable[str]:
    for key, each in table.items():
        words = [("<files>", "")] if each.files else [(f"<{each.ids}>", "")] if each.ids else each.words
        listed = ", ".join(f"@({_powershell_quoted(word)}, {_powershell_quoted(about)})" for word, about in words)
        yield f"    {_powershell_quoted(key)} = @({',' * (len(words) == 1)}{listed})"


def _powershell_quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_BASH = r"""
# Completion of aura for bash. To load it, put this into ~/.bashrc:
#   eval "$(aura completion bash)"

# Define _aura_ids KIND to complete ids: a line for each id of a task, an approval, ...
declare -F _aura_ids >/dev/null || _aura_ids() { :; }

_aura_words() {
  case "$1" in
@TABLE@
    *) return 1 ;;
  esac
}

_aura() {
  local IFS=$'\n' cur prev word path="" skip="" place=0 key words i
  cur="${COMP_WORDS[COMP_CWORD]}"
  prev="${COMP_WORDS[COMP_CWORD - 1]}"
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    if [ -n "$skip" ]; then
      [ "$word" = "=" ] || skip=""
    elif _aura_words "val:$path:$word" >/dev/null; then
      skip=1
    elif _aura_words "sub:$path" | grep -qxF -e "$word" && [ "$word" != help ]; then
      path="${path:+$path }$word"
    elif [ "${word:0:1}" != "-" ]; then
      place=$((place + 1))
    fi
  done
  [ "$cur" = "=" ] && cur=""
  [ "$prev" = "=" ] && prev="${COMP_WORDS[COMP_CWORD - 2]}"
  if _aura_words "val:$path:$prev" >/dev/null; then
    key="val:$path:$prev"
  elif [ "${cur:0:1}" = "-" ]; then
    key="opt:$path"
  elif _aura_words "sub:$path" >/dev/null; then
    key="sub:$path"
  else
    key="arg:$path:$place"
  fi
  words="$(_aura_words "$key")"
  if [ "$words" = "<files>" ]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}

complete -F _aura aura
"""

_ZSH = r"""
#compdef aura
# Completion of aura for zsh. To load it, put this into ~/.zshrc, after compinit:
#   eval "$(aura completion zsh)"

# Define _aura_ids KIND to complete ids: a line for each id of a task, an approval, ...
(( $+functions[_aura_ids] )) || _aura_ids() { : }

_aura_words() {
  case "$1" in
@TABLE@
    *) return 1 ;;
  esac
}

_aura() {
  local word at="" skip="" place=0 key current="${words[CURRENT]}" before="${words[CURRENT-1]}"
  local -a found
  for word in "${(@)words[2,CURRENT-1]}"; do
    found=("${(@f)$(_aura_words "sub:$at")}")
    if [[ -n "$skip" ]]; then
      skip=""
    elif _aura_words "val:$at:$word" >/dev/null; then
      skip=1
    elif [[ "$word" != help ]] && (( ${found[(I)${(b)word}:*]} )); then
      at="${at:+$at }$word"
    elif [[ "$word" != -* ]]; then
      (( place += 1 ))
    fi
  done
  if _aura_words "val:$at:$before" >/dev/null; then
    key="val:$at:$before"
  elif [[ "$current" == --*=* ]] && _aura_words "val:$at:${current%%=*}" >/dev/null; then
    key="val:$at:${current%%=*}"
    compset -P '*='
  elif [[ "$current" == -* ]]; then
    key="opt:$at"
  elif _aura_words "sub:$at" >/dev/null; then
    key="sub:$at"
  else
    key="arg:$at:$place"
  fi
  found=("${(@f)$(_aura_words "$key")}")
  if [[ "$found" == "<files>" ]]; then
    _files
  else
    _describe 'aura' found
  fi
}

compdef _aura aura
"""

_FISH = r"""
# Completion of aura for fish. To load it, put this into ~/.config/fish/config.fish:
#   aura completion fish | source

# Define _aura_ids KIND to complete ids: a line for each id of a task, an approval, ...
functions -q _aura_ids; or function _aura_ids
end

function _aura_words
    switch $argv[1]
@TABLE@
        case '*'
            return 1
    end
    return 0
end

function _aura
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l before $words[-1]
    set -l path ''
    set -l skip ''
    set -l place 0
    for word in $words[2..-1]
        if test -n "$skip"
            set skip ''
        else if _aura_words "val:$path:$word" >/dev/null
            set skip 1
        else if test "$word" != help; and _aura_words "sub:$path" | string match -q -- "$word"\t"*"
            set path (string trim -- "$path $word")
        else if not string match -q -- '-*' $word
            set place (math $place + 1)
        end
    end
    if test -n "$skip"
        _aura_words "val:$path:$before"
    else if string match -qr -- '^--.*=' $current
        set -l option (string split -m 1 = -- $current)[1]
        for value in (_aura_words "val:$path:$option")
            echo "$option=$value"
        end
    else if string match -q -- '-*' $current
        _aura_words "opt:$path"
    else if _aura_words "sub:$path" >/dev/null
        _aura_words "sub:$path"
    else
        _aura_words "arg:$path:$place"
    end
end

complete -c aura -f -a '(_aura)'
"""

_POWERSHELL = r"""
# Completion of aura for PowerShell. To load it, put this into $PROFILE:
#   aura completion powershell | Out-String | Invoke-Expression

# Define _aura_ids KIND to complete ids: each id of a task, an approval, ...
if (-not (Get-Command _aura_ids -ErrorAction SilentlyContinue)) { function global:_aura_ids { } }

$global:AuraWords = @{
@TABLE@
}

Register-ArgumentCompleter -Native -CommandName aura -ScriptBlock {
    param($current, $ast, $cursor)
    $path = ''
    $skip = $false
    $before = ''
    $place = 0
    foreach ($element in ($ast.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.EndOffset -ge $cursor) { break }
        $word = $element.ToString()
        $before = $word
        if ($skip) { $skip = $false; continue }
        if ($AuraWords.ContainsKey("val:${path}:$word")) { $skip = $true; continue }
        if ($word -ne 'help' -and ($AuraWords["sub:$path"] | Where-Object { $_[0] -eq $word })) {
            $path = "$path $word".Trim()
        }
        elseif (-not $word.StartsWith('-')) { $place += 1 }
    }
    if ($skip) { $key = "val:${path}:$before" }
    elseif ($current.StartsWith('-')) { $key = "opt:$path" }
    elseif ($AuraWords.ContainsKey("sub:$path")) { $key = "sub:$path" }
    else { $key = "arg:${path}:$place" }
    foreach ($entry in $AuraWords[$key]) {
        $text, $about = $entry
        if ($text -eq '<files>') { return }
        if ($text -match '^<(.*)>$') {
            _aura_ids $Matches[1] | Where-Object { $_ -like "$current*" }
            return
        }
        if ($text -like "$current*") {
            if (-not $about) { $about = $text }
            [System.Management.Automation.CompletionResult]::new($text, $text, 'ParameterValue', $about)
        }
    }
}
"""

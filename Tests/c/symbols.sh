# usage: symbols.sh NM SHARED STATIC
# What the libraries define begins with chainrule_ or, in the static one, cr_; a linker adds a few names.
foreign=$(
  "$1" -D --defined-only "$2" | awk '$3 !~ /^(chainrule_|_init$|_fini$|_edata$|_end$|__bss_start$)/ { print $3 " is exported" }'
  "$1" -g --defined-only "$3" | awk 'NF == 3 && $3 !~ /^(chainrule|cr)_/ { print $3 " is global" }'
)
own=$("$1" -D --defined-only "$2" | grep -c chainrule_)
if [ -n "$foreign" ] || [ "$own" -eq 0 ]; then
  echo "$own names of our own; $foreign"
  exit 1
fi

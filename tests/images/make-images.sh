#!/bin/sh
# Makes small OCI images of real programs from this machine's Debian packages and pushes them to a registry.
#   make-images.sh 127.0.0.1:5000 [nginx redis python]
# Every image listens on $PORT0 (or its usual port) and has a shell; all share their lowest layer.
# Needs Debian's umoci, skopeo, nginx-light, redis-server and python3.
set -eu

registry=${1:?usage: $0 REGISTRY [nginx|redis|python ...]}
shift
[ $# -gt 0 ] || set -- nginx redis python

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
layout=$work/layout

# add ROOT FILE...: copies files with the libraries that they need, unless the base has them already.
add() {
    root=$1
    shift
    for file in "$@"; do
        for needed in "$file" $(ldd "$file" 2>/dev/null | grep -o '/[^ ]*' || true); do
            [ -e "$work/base$needed" ] || (cd / && cp -L --parents "$needed" "$root")
        done
    done
}

# entrypoint ROOT: the script on standard input is what the image runs.
entrypoint() {
    cat >"$1/entrypoint"
    chmod 755 "$1/entrypoint"
}

base() {
    mkdir -p "$1/etc" "$1/root" "$1/var" "$1/proc" "$1/sys" "$1/dev"
    mkdir -m 1777 "$1/tmp"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$1/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$1/etc/group"
    printf 'hosts: files dns\n' >"$1/etc/nsswitch.conf"
    for program in sh cat chmod cp date env head id ls mkdir rm sleep sort tail tr true uname wc; do
        add "$1" "/bin/$program"
    done
}

nginx() {
    add "$1" /usr/sbin/nginx /etc/nginx/mime.types /usr/share/nginx/html/index.html
    mkdir -p "$1/var/lib/nginx" "$1/var/log/nginx"
    entrypoint "$1" <<'END'
#!/bin/sh
cat >/tmp/nginx.conf <<CONF
daemon off;
user nobody nogroup;
pid /tmp/nginx.pid;
error_log stderr;
events {}
http {
    include /etc/nginx/mime.types;
    access_log /dev/stdout;
    server { listen ${PORT0:-80}; root /usr/share/nginx/html; }
}
CONF
exec nginx -c /tmp/nginx.conf "$@"
END
}

redis() {
    add "$1" /usr/bin/redis-server /usr/bin/redis-cli
    entrypoint "$1" <<'END'
#!/bin/sh
exec redis-server --port "${PORT0:-6379}" --protected-mode no --save '' --dir /tmp "$@"
END
}

python() {
    add "$1" /usr/bin/python3
    modules=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    (cd / && cp -a --parents "$modules" "$1")
    rm -rf "$1$modules"/test "$1$modules"/idlelib "$1$modules"/config-3*
    add "$1" "$modules"/lib-dynload/*.so
    entrypoint "$1" <<'END'
#!/bin/sh
exec python3 -u -m http.server "${PORT0:-8000}" "$@"
END
}

umoci init --layout "$layout"
umoci new --image "$layout:base"
mkdir "$work/base"
base "$work/base"
umoci insert --rootless --image "$layout:base" "$work/base" /
for image in "$@"; do
    mkdir "$work/$image"
    "$image" "$work/$image"
    umoci tag --image "$layout:base" "$image"
    umoci insert --rootless --image "$layout:$image" "$work/$image" /
    umoci config --image "$layout:$image" --config.entrypoint /entrypoint \
        --config.env PATH=/usr/sbin:/usr/bin:/sbin:/bin --config.workingdir /
    skopeo --insecure-policy copy --quiet --dest-tls-verify=false "oci:$layout:$image" "docker://$registry/$image:latest"
    echo "$registry/$image:latest"
done

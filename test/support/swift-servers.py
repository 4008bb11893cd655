"""Swift, as Debian packages it, with the middleware that speaks S3: all four servers in this process, on free ports of 127.0.0.1.

The argument is an empty folder, on a file system with extended attributes. Writes the port of S3 on standard error, and ends with its standard input.
"""

import os
import sys

import eventlet
from eventlet import hubs, patcher, wsgi

patcher.monkey_patch(all=False, socket=True, select=True, thread=True)

FOLDER = os.path.abspath(sys.argv[1])

# Both are read by the modules below when they are imported.
with open(os.path.join(FOLDER, 'swift.conf'), 'w') as conf:
    conf.write('[swift-hash]\nswift_hash_path_suffix = tests\n[storage-policy:0]\nname = only\ndefault = yes\n')
from swift.common import utils  # noqa: E402

utils.SWIFT_CONF_FILE = os.path.join(FOLDER, 'swift.conf')
from swift.common.http_protocol import SwiftHttpProtocol  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.storage_policy import reload_storage_policies  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

STORAGE = ('account', 'container', 'object')
MIDDLEWARE = ('catch_errors', 'gatekeeper', 'listing_formats', 's3api', 'tempauth', 'copy')
SETTINGS = {
    's3api': {'location': 'us-east-1', 'allow_multipart_uploads': 'false'},
    'tempauth': {'user_test_tester': 'testing .admin'},
    'object': {
        # After this a list would leave the object out until an updater runs, and here none does.
        'container_update_timeout': '60',
    },
}


class Cache:
    """What of memcached is used, in one process."""

    def __init__(self):
        self.values = {}

    def get(self, key, raise_on_error=False, **_):
        return self.values.get(key)

    def set(self, key, value, *_, **__):
        self.values[key] = value

    def incr(self, key, delta=1, *_, **__):
        self.values[key] = self.values.get(key, 0) + delta
        return self.values[key]

    def decr(self, key, delta=1, *_, **__):
        return self.incr(key, -delta)

    def delete(self, key, *_, **__):
        self.values.pop(key, None)

    def get_multi(self, keys, *_, **__):
        return [self.get(key) for key in keys]

    def set_multi(self, values, *_, **__):
        self.values.update(values)


class Nowhere:
    def write(self, _):
        pass


def main():
    os.mkdir(os.path.join(FOLDER, 'devices'))
    os.mkdir(os.path.join(FOLDER, 'devices', 'one'))
    reload_storage_policies()
    sockets = {name: eventlet.listen(('127.0.0.1', 0), backlog=512) for name in (*STORAGE, 'proxy')}
    for name in STORAGE:
        ring(name, sockets[name].getsockname()[1])
    for name in STORAGE:
        serve(sockets[name], app(name, [], {'devices': os.path.join(FOLDER, 'devices'), 'mount_check': 'false'}))
    cache = Cache()
    proxy = app('proxy', MIDDLEWARE, {'account_autocreate': 'true', 'allow_account_management': 'true'})
    serve(sockets['proxy'], lambda environ, start: proxy({**environ, 'swift.cache': cache}, start))
    sys.stderr.write('s3 on port %d\n' % sockets['proxy'].getsockname()[1])
    sys.stderr.flush()
    hubs.trampoline(0, read=True)
    os._exit(0)


def ring(name, port):
    builder = RingBuilder(1, 1, 1)
    builder.add_dev({'id': 0, 'region': 1, 'zone': 1, 'ip': '127.0.0.1', 'port': port, 'device': 'one', 'weight': 1})
    builder.rebalance()
    builder.get_ring().save(os.path.join(FOLDER, name + '.ring.gz'))


def app(name, filters, settings):
    server = name + '-server'
    sections = [('DEFAULT', {'swift_dir': FOLDER, 'log_level': 'CRITICAL', 'bind_port': '1'})]
    sections.append(('pipeline:main', {'pipeline': ' '.join([*filters, server])}))
    sections.append(('app:' + server, {'use': 'egg:swift#' + name, **settings, **SETTINGS.get(name, {})}))
    sections += [('filter:' + each, {'use': 'egg:swift#' + each, **SETTINGS.get(each, {})}) for each in filters]
    path = os.path.join(FOLDER, server + '.conf')
    with open(path, 'w') as conf:
        for title, values in sections:
            conf.write('[%s]\n' % title + ''.join('%s = %s\n' % pair for pair in values.items()))
    return loadapp(path)


def serve(socket, wsgi_app):
    eventlet.spawn(wsgi.server, socket, wsgi_app, Nowhere(), protocol=SwiftHttpProtocol, capitalize_response_headers=False)


main()

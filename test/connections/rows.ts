import type { Keyword } from '../../src/database/url/libpq-parameters.ts'
import { PASSWORD } from './servers.ts'

/** What rows name. */
export interface Places {
  /** Ports of the server with TLS and of the one without. */
  readonly tls: string
  readonly plain: string
  /** The folder of the Unix socket of the one without. */
  readonly socket: string
  /** Where somebody listens who never answers. */
  readonly silent: string
  /** The path of a file by its name; most have what it says, and mode 0600. */
  readonly file: (name: string) => string
}

export interface Row {
  readonly value: string
  /** Of the outcome. */
  readonly expected: RegExp
  /** Other parameters, in the URL. */
  readonly beside?: Readonly<Record<string, string>>
  /** psql does something else, on purpose. */
  readonly psql?: { readonly expected: RegExp; readonly because: string }
  /** The first libpq that knows the parameter or the value. */
  readonly since?: number
  /** Given in the URL, and with these variables. */
  readonly inTheUrl?: Readonly<Record<string, string>>
}

const WITHOUT_TLS = /by plain text/
const WITH_TLS = /by TLSv1\.\d/
const REFUSED = /^refused$/
const INVALID = /^invalid$/
const UNREACHABLE = /^unreachable$/

const MISSING_FILE = 'psql goes on as if a file that is missing had not been named'
const NO_STANDBY = 'a worker that writes has no use for a standby'

/** For each parameter that is implemented: some values, and what comes of them here and, unless it is said, in psql. */
export function rowsOf({ tls, plain, socket, silent, file }: Places): Readonly<Record<Keyword, readonly Row[]>> {
  const here = { port: plain }
  const scram = { user: 'scram_user', password: PASSWORD }
  const root = { sslrootcert: file('root.crt') }
  const certificate = { user: 'cert_user', sslcert: file('cert_user.crt'), sslkey: file('cert_user.key') }
  const { sslcert, sslkey, ...certified } = certificate
  return {
    host: [
      { value: 'localhost', expected: /^trusted at postgres/ },
      { value: '127.0.0.1', expected: /^trusted at postgres/ },
      { value: socket, beside: here, expected: /port of a socket/ },
      { value: 'nowhere.invalid', expected: UNREACHABLE },
      { value: 'nowhere.invalid,localhost', expected: /^trusted at postgres/ },
      { value: 'localhost,localhost', beside: { port: `1,${plain}` }, expected: new RegExp(`port ${plain}`) },
      { value: 'localhost,localhost', beside: { port: `${tls},${plain}` }, expected: new RegExp(`port ${tls}`) },
      { value: 'localhost,localhost,localhost', beside: { port: `${tls},${plain}` }, expected: INVALID },
      { value: 'localhost,localhost', beside: { port: `${tls},${plain}`, user: 'rejected' }, expected: REFUSED },
      { value: 'localhost,localhost', beside: { port: `${tls},${plain}`, user: 'plain_only', sslmode: 'require' }, expected: REFUSED },
    ],
    hostaddr: [
      { value: '127.0.0.1', beside: { host: 'nowhere.invalid' }, expected: /^trusted at postgres/ },
      { value: '127.0.0.1', beside: { ...root, sslmode: 'verify-full' }, expected: WITH_TLS },
      { value: '127.0.0.1', beside: { ...root, host: 'nowhere.invalid', sslmode: 'verify-full' }, expected: REFUSED },
      { value: '127.0.0.1', beside: { ...root, host: '127.0.0.1', sslmode: 'verify-full' }, expected: WITH_TLS },
      { value: '127.0.0.1', beside: { ...root, host: '127.0.0.2', sslmode: 'verify-full' }, expected: REFUSED },
      { value: '127.0.0.1,127.0.0.1', beside: { host: 'a,b', port: `1,${tls}` }, expected: new RegExp(`port ${tls}`) },
      { value: '127.0.0.1', beside: { host: 'a,b' }, expected: INVALID },
      { value: 'localhost', expected: INVALID },
    ],
    port: [
      { value: tls, expected: new RegExp(`port ${tls}`) },
      { value: plain, expected: new RegExp(`port ${plain}`) },
      { value: '1', expected: UNREACHABLE },
      { value: '0', expected: INVALID },
      { value: '65536', expected: INVALID },
      { value: 'gateway', expected: INVALID },
      { value: `${tls},${plain}`, expected: INVALID },
    ],
    dbname: [
      { value: 'gateway', expected: /at gateway/ },
      { value: 'template1', expected: REFUSED, psql: { expected: /at template1/, because: 'nothing is purged in a template database' } },
      { value: 'missing', expected: REFUSED },
    ],
    user: [
      { value: 'tls_only', expected: /^tls_only at postgres.*TLS/ },
      { value: 'plain_only', expected: /^plain_only at postgres.*plain text/ },
      { value: 'rejected', expected: REFUSED },
      { value: 'missing', expected: REFUSED },
      { value: 'cert_user', expected: REFUSED },
    ],
    password: ['scram_user', 'md5_user', 'password_user'].flatMap((user): readonly Row[] => [
      { value: PASSWORD, beside: { user }, expected: new RegExp(`^${user} at`) },
      { value: PASSWORD, beside: { user, ...here }, expected: WITHOUT_TLS },
      { value: 'wrong', beside: { user }, expected: REFUSED },
      { value: 'unneeded', expected: /^trusted at/ },
    ]),
    passfile: [
      { value: file('passwords'), beside: { user: 'scram_user' }, expected: /^scram_user at/ },
      { value: file('passwords'), beside: { user: 'md5_user' }, expected: /^md5_user at/ },
      { value: file('passwords'), beside: { user: 'password_user' }, expected: REFUSED },
      { value: file('passwords'), beside: { user: 'scram_user', host: '127.0.0.1' }, expected: REFUSED },
      { value: file('passwords'), beside: { user: 'scram_user', password: 'wrong' }, expected: REFUSED },
      { value: file('open-passwords'), beside: { user: 'scram_user' }, expected: REFUSED },
      { value: file('missing'), beside: { user: 'scram_user' }, expected: REFUSED },
      { value: file('missing'), expected: /^trusted at/ },
    ],
    require_auth: (
      [
        ['scram-sha-256', 'scram_user', /^scram_user at/],
        ['md5', 'scram_user', REFUSED],
        ['password', 'scram_user', REFUSED],
        ['md5,scram-sha-256', 'md5_user', /^md5_user at/],
        ['scram-sha-256', 'md5_user', REFUSED],
        ['password', 'password_user', /^password_user at/],
        ['!password', 'password_user', REFUSED],
        ['!password,!md5', 'scram_user', /^scram_user at/],
        ['none', 'trusted', /^trusted at/],
        ['!none', 'trusted', REFUSED],
        ['scram-sha-256', 'trusted', REFUSED],
        ['scram-sha-256,none', 'trusted', /^trusted at/],
        ['none,!md5', 'trusted', INVALID],
        ['scram', 'trusted', INVALID],
      ] as const
    ).map(([value, user, expected]) => ({ value, expected, since: 16, beside: { user, password: PASSWORD } })),
    channel_binding: [
      ...['disable', 'prefer', 'require'].map((value) => ({ value, beside: scram, expected: /^scram_user at.*TLS/ })),
      { value: 'prefer', beside: { ...scram, ...here }, expected: WITHOUT_TLS },
      { value: 'require', beside: { ...scram, ...here }, expected: REFUSED },
      { value: 'require', beside: { ...scram, sslmode: 'disable' }, expected: REFUSED },
      { value: 'require', beside: { user: 'md5_user', password: PASSWORD }, expected: REFUSED },
      { value: 'require', beside: { user: 'password_user', password: PASSWORD }, expected: REFUSED },
      { value: 'require', expected: REFUSED },
      { value: 'require', beside: certificate, expected: REFUSED },
      { value: 'yes', expected: INVALID },
    ],
    connect_timeout: [
      { value: '5', expected: /^trusted at/ },
      { value: ' 5 ', expected: /^trusted at/ },
      { value: '0', expected: /^trusted at/ },
      { value: '-1', expected: /^trusted at/ },
      { value: '2', beside: { port: silent, sslmode: 'disable' }, expected: UNREACHABLE },
      { value: '5s', expected: INVALID },
      { value: '5.5', expected: INVALID },
    ],
    options: [
      { value: '-c work_mem=2MB', expected: /work_mem 2MB/ },
      { value: '-cwork_mem=3MB --geqo=off', expected: /work_mem 3MB/ },
      { value: '-c application_name=a\\ b', beside: { application_name: 'c' }, expected: /as 'c'/ },
      { value: '-c nonsense=1', expected: REFUSED },
    ],
    application_name: [
      { value: 'gateway', expected: /as 'gateway'/ },
      { value: "it's two words", expected: /as 'it''s two words'/ },
    ],
    fallback_application_name: [
      { value: 'gateway', expected: /as 'gateway'/, psql: { expected: /as itself/, because: 'psql always passes its own name here' } },
      { value: 'gateway', beside: { application_name: 'other' }, expected: /as 'other'/ },
    ],
    target_session_attrs: [
      ...['any', 'read-write', 'primary'].map((value) => ({ value, expected: /^trusted at/ })),
      { value: 'standby', expected: INVALID, psql: { expected: /^(refused|standby)$/, because: NO_STANDBY } },
      { value: 'read-only', expected: INVALID, psql: { expected: /^(refused|standby)$/, because: NO_STANDBY } },
      { value: 'prefer-standby', expected: INVALID, psql: { expected: /^trusted at/, because: NO_STANDBY } },
      { value: 'master', expected: INVALID },
    ],
    load_balance_hosts: [
      {
        value: 'disable',
        beside: { host: 'localhost,localhost', port: `${tls},${plain}` },
        since: 16,
        expected: new RegExp(`port ${tls}`),
      },
      { value: 'random', beside: { host: 'localhost,localhost', port: `1,${plain}` }, since: 16, expected: new RegExp(`port ${plain}`) },
      { value: 'yes', since: 16, expected: INVALID },
    ],
    sslmode: [
      ...(['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const).flatMap((value): readonly Row[] => {
        const insists = ['require', 'verify-ca', 'verify-full'].includes(value)
        const first = insists || value === 'prefer' ? WITH_TLS : WITHOUT_TLS
        const verified = value.startsWith('verify')
        return [
          { value, beside: root, expected: first },
          { value, beside: { ...root, ...here }, expected: insists ? REFUSED : WITHOUT_TLS },
          { value, beside: { ...root, user: 'tls_only' }, expected: value === 'disable' ? REFUSED : WITH_TLS },
          { value, beside: { ...root, user: 'plain_only' }, expected: insists ? REFUSED : WITHOUT_TLS },
          { value, beside: { ...root, user: 'rejected' }, expected: REFUSED },
          { value, beside: { sslrootcert: file('other.crt') }, expected: insists ? REFUSED : WITHOUT_TLS },
          { value, beside: { ...root, host: 'gateway', hostaddr: '127.0.0.1' }, expected: value === 'verify-full' ? REFUSED : first },
          { value, beside: { host: socket, ...here }, expected: /port of a socket.*plain text/ },
          { value, beside: {}, expected: verified ? REFUSED : first },
        ]
      }),
      { value: 'on', expected: INVALID },
    ],
    requiressl: [
      { value: '1', expected: WITH_TLS },
      { value: '1', beside: here, expected: REFUSED },
      { value: '0', expected: WITH_TLS },
      { value: '0', beside: here, expected: WITHOUT_TLS },
      { value: '1', inTheUrl: { PGSSLMODE: 'disable' }, expected: WITH_TLS },
      { value: '0', inTheUrl: { PGSSLMODE: 'require' }, beside: here, expected: WITHOUT_TLS },
    ],
    sslnegotiation: [
      { value: 'postgres', since: 17, expected: WITH_TLS },
      { value: 'direct', since: 17, beside: { sslmode: 'require' }, expected: WITH_TLS },
      { value: 'direct', since: 17, beside: { sslmode: 'verify-full', ...root }, expected: WITH_TLS },
      {
        value: 'direct',
        since: 17,
        beside: { sslmode: 'require', ...here },
        expected: UNREACHABLE,
        psql: { expected: REFUSED, because: 'a server that hangs up at once may be starting, and is waited for' },
      },
      { value: 'direct', since: 17, expected: INVALID },
      { value: 'at once', since: 17, expected: INVALID },
    ],
    sslrootcert: [
      { value: file('root.crt'), beside: { sslmode: 'verify-full' }, expected: WITH_TLS },
      { value: file('both.crt'), beside: { sslmode: 'verify-full' }, expected: WITH_TLS },
      { value: file('other.crt'), beside: { sslmode: 'verify-full' }, expected: REFUSED },
      { value: file('other.crt'), beside: { sslmode: 'require' }, expected: REFUSED },
      { value: file('other.crt'), beside: { sslmode: 'prefer', user: 'tls_only' }, expected: REFUSED },
      { value: file('empty'), beside: { sslmode: 'require' }, expected: REFUSED },
      { value: file('missing'), beside: { sslmode: 'verify-ca' }, expected: REFUSED },
      { value: file('missing'), beside: { sslmode: 'require' }, expected: REFUSED, psql: { expected: WITH_TLS, because: MISSING_FILE } },
      { value: file('missing'), expected: REFUSED, psql: { expected: WITH_TLS, because: MISSING_FILE } },
      { value: 'system', since: 16, expected: REFUSED },
      { value: 'system', since: 16, beside: { sslmode: 'require' }, expected: INVALID },
    ],
    sslcert: [
      { value: sslcert, beside: { ...certified, sslkey }, expected: /^cert_user at.*certificate \/CN=cert_user/ },
      { value: sslcert, beside: { sslkey }, expected: /^trusted at.*certificate \/CN=cert_user/ },
      { value: sslcert, beside: { ...certified, sslkey, ...root, sslmode: 'verify-full' }, expected: /certificate \/CN=cert_user/ },
      { value: file('scram_cert.crt'), beside: { ...certified, sslkey: file('scram_cert.key') }, expected: REFUSED },
      {
        value: file('scram_cert.crt'),
        beside: { user: 'scram_cert', password: PASSWORD, sslkey: file('scram_cert.key') },
        expected: /^scram_cert at.*certificate \/CN=scram_cert/,
      },
      { value: file('scram_cert.crt'), beside: { user: 'scram_cert', sslkey: file('scram_cert.key') }, expected: REFUSED },
      { value: sslcert, beside: { user: 'scram_cert', password: PASSWORD, sslkey }, expected: REFUSED },
      { value: file('stranger.crt'), beside: { ...certified, sslkey: file('stranger.key'), sslmode: 'require' }, expected: REFUSED },
      { value: file('cert_user.crt.der'), beside: { ...certified, sslkey }, expected: REFUSED },
      { value: sslcert, beside: { ...certified, sslkey, ...here }, expected: REFUSED },
      { value: file('missing'), beside: { sslkey }, expected: REFUSED, psql: { expected: WITH_TLS, because: MISSING_FILE } },
    ],
    sslkey: [
      ...['cert_user.key', 'cert_user.sec1.key', 'cert_user.der', 'cert_user.sec1.der', 'root-shared.key'].map((name) => ({
        value: file(name),
        beside: { ...certified, sslcert },
        expected: /certificate \/CN=cert_user/,
      })),
      ...[
        'missing',
        'scram_cert.key',
        'open.key',
        'group.key',
        'empty',
        'cert_user.crt',
        'cert_user.locked.key',
        'cert_user.locked.der',
      ].map((name) => ({
        value: file(name),
        beside: { ...certified, sslcert, sslmode: 'require' },
        expected: REFUSED,
      })),
      { value: file('open.key'), expected: /^trusted at.*TLS/ },
      {
        value: file('open.key'),
        beside: { sslcert },
        expected: REFUSED,
        psql: { expected: WITHOUT_TLS, because: 'psql goes on in plain text with sslmode=prefer' },
      },
    ],
    sslpassword: [
      { value: PASSWORD, beside: { ...certificate, sslkey: file('cert_user.locked.key') }, expected: /certificate \/CN=cert_user/ },
      { value: 'wrong', beside: { ...certificate, sslkey: file('cert_user.locked.key') }, expected: REFUSED },
      { value: 'unneeded', beside: certificate, expected: /certificate \/CN=cert_user/ },
      {
        value: PASSWORD,
        beside: { ...certificate, sslkey: file('cert_user.locked.der') },
        expected: /certificate \/CN=cert_user/,
        psql: { expected: REFUSED, because: 'psql opens encrypted keys in PEM only' },
      },
      { value: 'wrong', beside: { ...certificate, sslkey: file('cert_user.locked.der') }, expected: REFUSED },
    ],
    sslcertmode: [
      { value: 'allow', since: 16, beside: certificate, expected: /certificate \/CN=cert_user/ },
      { value: 'disable', since: 16, beside: certificate, expected: REFUSED },
      { value: 'disable', since: 16, beside: { sslcert, sslkey }, expected: /^trusted at((?!certificate).)*$/ },
      {
        value: 'require',
        since: 16,
        beside: certificate,
        expected: INVALID,
        psql: { expected: /certificate \/CN=cert_user/, because: 'the driver does not say whether the server wanted a certificate' },
      },
      { value: 'yes', since: 16, expected: INVALID },
    ],
    sslcrl: [
      { value: file('none-revoked.crl'), beside: { ...root, sslmode: 'verify-full' }, expected: WITH_TLS },
      { value: file('revoked.crl'), beside: { ...root, sslmode: 'verify-full' }, expected: REFUSED },
      { value: file('revoked.crl'), beside: { ...root, sslmode: 'require' }, expected: REFUSED },
      { value: file('revoked.crl'), beside: { sslmode: 'require' }, expected: WITH_TLS },
      { value: file('revoked.crl'), beside: root, expected: WITHOUT_TLS },
      {
        value: file('missing'),
        beside: { ...root, sslmode: 'verify-full' },
        expected: REFUSED,
        psql: { expected: WITH_TLS, because: MISSING_FILE },
      },
    ],
    ssl_min_protocol_version: [
      { value: 'TLSv1.2', expected: /by TLSv1\.3/ },
      { value: 'TLSv1.3', expected: /by TLSv1\.3/ },
      { value: 'tlsv1.3', beside: { ssl_max_protocol_version: 'TLSv1.2' }, expected: INVALID },
      { value: 'TLSv1', beside: { ssl_max_protocol_version: 'TLSv1.2' }, expected: /by TLSv1\.2/ },
      { value: 'SSLv3', expected: INVALID },
    ],
    ssl_max_protocol_version: [
      { value: 'TLSv1.2', expected: /by TLSv1\.2/ },
      { value: 'TLSv1.3', expected: /by TLSv1\.3/ },
      { value: 'TLSv1.1', beside: { sslmode: 'require' }, expected: INVALID },
      { value: '1.2', expected: INVALID },
    ],
  }
}

/** Values that say what happens anyway: given in a parameter that is refused or ignored, they need no word. */
type Harmless = readonly string[]

interface Listed {
  /** libpq's keyword; SQLAlchemy passes it on. `undefined`: there is only the variable. */
  readonly keyword?: string
  /** libpq's environment variable. */
  readonly variable?: string
  /** The JDBC driver's name, if it is another. */
  readonly jdbc?: string
  readonly fate: 'implemented' | 'refused' | 'ignored'
  readonly harmless?: Harmless
  /** What is done with it, or why it is refused or ignored. */
  readonly note: string
}

/**
 * Every connection parameter and environment variable of libpq, as of PostgreSQL 18 (https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-PARAMKEYWORDS,
 * …/libpq-envars.html), and what becomes of it here. Refused is what would lead to another server or to a weaker connection if it were ignored.
 */
const LIST = [
  { keyword: 'host', variable: 'PGHOST', fate: 'implemented', note: 'several are tried in order; a folder is that of a Unix socket' },
  {
    keyword: 'hostaddr',
    variable: 'PGHOSTADDR',
    fate: 'implemented',
    note: 'the addresses to connect to; certificates are checked against `host`',
  },
  { keyword: 'port', variable: 'PGPORT', fate: 'implemented', note: 'one for all hosts, or one each' },
  { keyword: 'dbname', variable: 'PGDATABASE', fate: 'implemented', note: 'the user’s name, if nothing names the database' },
  { keyword: 'user', variable: 'PGUSER', fate: 'implemented', note: 'the operating system’s, if nothing names the user' },
  { keyword: 'password', variable: 'PGPASSWORD', fate: 'implemented', note: '`DATABASE_URL_FILE` keeps it out of the environment' },
  {
    keyword: 'passfile',
    variable: 'PGPASSFILE',
    fate: 'implemented',
    note: 'read when the server wants a password and nothing else gives one; `~/.pgpass`, if nothing names a file',
  },
  {
    keyword: 'require_auth',
    variable: 'PGREQUIREAUTH',
    jdbc: 'requireAuth',
    fate: 'implemented',
    note: 'no password is sent in a way that is not listed',
  },
  {
    keyword: 'channel_binding',
    variable: 'PGCHANNELBINDING',
    jdbc: 'channelBinding',
    fate: 'implemented',
    note: 'as libpq: `prefer` where nothing is given',
  },
  {
    keyword: 'connect_timeout',
    variable: 'PGCONNECT_TIMEOUT',
    jdbc: 'connectTimeout',
    fate: 'implemented',
    note: 'seconds for each address; DATABASE_CONNECT_TIMEOUT says for how long all are tried again',
  },
  { keyword: 'options', variable: 'PGOPTIONS', fate: 'implemented', note: 'settings of the session, such as `-c role=gateway`' },
  {
    keyword: 'application_name',
    variable: 'PGAPPNAME',
    jdbc: 'ApplicationName',
    fate: 'implemented',
    note: 'the worker’s name and version, if nothing names it',
  },
  { keyword: 'fallback_application_name', fate: 'implemented', note: 'used where `application_name` is not given' },
  {
    keyword: 'target_session_attrs',
    variable: 'PGTARGETSESSIONATTRS',
    jdbc: 'targetServerType',
    fate: 'implemented',
    note: '`any`, `read-write` and `primary`; those that ask for a standby are refused, because the worker writes',
  },
  {
    keyword: 'load_balance_hosts',
    variable: 'PGLOADBALANCEHOSTS',
    jdbc: 'loadBalanceHosts',
    fate: 'implemented',
    note: '`random` tries the hosts in another order each time',
  },
  {
    keyword: 'sslmode',
    variable: 'PGSSLMODE',
    fate: 'implemented',
    note: 'all values; `verify-full` without a root certificate trusts the public authorities that Node knows, where libpq fails',
  },
  {
    keyword: 'requiressl',
    variable: 'PGREQUIRESSL',
    fate: 'implemented',
    note: 'the old form: `1` means `sslmode=require`, where `sslmode` is not given',
  },
  { keyword: 'sslnegotiation', variable: 'PGSSLNEGOTIATION', jdbc: 'sslNegotiation', fate: 'implemented', note: '`postgres` or `direct`' },
  {
    keyword: 'sslrootcert',
    variable: 'PGSSLROOTCERT',
    fate: 'implemented',
    note: 'a file, or `system`; `~/.postgresql/root.crt`, if that is there',
  },
  {
    keyword: 'sslcert',
    variable: 'PGSSLCERT',
    fate: 'implemented',
    note: 'a file; `~/.postgresql/postgresql.crt`, if that is there. A named file that is missing fails, where libpq goes on without it',
  },
  {
    keyword: 'sslkey',
    variable: 'PGSSLKEY',
    fate: 'implemented',
    note: 'a file in PEM or DER that others cannot read: 0600, or 0640 where it belongs to root',
  },
  { keyword: 'sslpassword', jdbc: 'sslpassword', fate: 'implemented', note: 'opens an encrypted key' },
  {
    keyword: 'sslcertmode',
    variable: 'PGSSLCERTMODE',
    fate: 'implemented',
    note: '`disable` or `allow`; `require` is refused, because it cannot be seen whether the server wanted a certificate',
  },
  { keyword: 'sslcrl', variable: 'PGSSLCRL', fate: 'implemented', note: 'a file; `~/.postgresql/root.crl`, if that is there' },
  { keyword: 'ssl_min_protocol_version', variable: 'PGSSLMINPROTOCOLVERSION', fate: 'implemented', note: '`TLSv1.2`, if nothing is given' },
  { keyword: 'ssl_max_protocol_version', variable: 'PGSSLMAXPROTOCOLVERSION', fate: 'implemented', note: '' },
  {
    keyword: 'sslcrldir',
    variable: 'PGSSLCRLDIR',
    fate: 'refused',
    note: 'ignoring it would accept revoked certificates; put them into one file and name that in sslcrl',
  },
  {
    keyword: 'requirepeer',
    variable: 'PGREQUIREPEER',
    fate: 'refused',
    note: 'ignoring it would weaken the connection: the owner of a socket cannot be seen here',
  },
  {
    keyword: 'gssencmode',
    variable: 'PGGSSENCMODE',
    jdbc: 'gssEncMode',
    fate: 'refused',
    harmless: ['disable', 'prefer', 'allow'],
    note: 'ignoring it would weaken the connection; encrypt with sslmode=verify-full',
  },
  { keyword: 'gssdelegation', variable: 'PGGSSDELEGATION', fate: 'refused', harmless: ['0'], note: 'Kerberos is not available here' },
  { keyword: 'scram_client_key', fate: 'refused', note: 'SCRAM keys cannot take the place of a password here' },
  { keyword: 'scram_server_key', fate: 'refused', note: 'SCRAM keys cannot take the place of a password here' },
  { keyword: 'oauth_issuer', fate: 'refused', note: 'OAuth is not available here' },
  { keyword: 'oauth_client_id', fate: 'refused', note: 'OAuth is not available here' },
  { keyword: 'oauth_client_secret', fate: 'refused', note: 'OAuth is not available here' },
  { keyword: 'oauth_scope', fate: 'refused', note: 'OAuth is not available here' },
  {
    keyword: 'service',
    variable: 'PGSERVICE',
    fate: 'refused',
    note: 'ignoring it could lead to a different server; write what the service file says into the URL',
  },
  { keyword: 'servicefile', variable: 'PGSERVICEFILE', fate: 'ignored', note: 'it matters only with a service, and that is refused' },
  { keyword: 'replication', fate: 'refused', harmless: ['false', 'off', 'no', '0'], note: 'a connection for replication cannot purge' },
  {
    keyword: 'min_protocol_version',
    variable: 'PGMINPROTOCOLVERSION',
    fate: 'refused',
    harmless: ['3.0'],
    note: 'the driver speaks version 3.0 of the protocol',
  },
  {
    keyword: 'max_protocol_version',
    variable: 'PGMAXPROTOCOLVERSION',
    fate: 'ignored',
    harmless: ['3.0', '3.2', 'latest'],
    note: 'the driver speaks version 3.0 of the protocol',
  },
  {
    keyword: 'client_encoding',
    variable: 'PGCLIENTENCODING',
    fate: 'ignored',
    harmless: ['UTF8', 'utf8', 'UTF-8', 'utf-8'],
    note: 'the worker always speaks UTF-8',
  },
  { keyword: 'keepalives', fate: 'ignored', harmless: ['1'], note: 'an idle connection is probed after 10 s, always' },
  { keyword: 'keepalives_idle', fate: 'ignored', note: 'an idle connection is probed after 10 s, always' },
  { keyword: 'keepalives_interval', fate: 'ignored', note: 'the operating system’s counts' },
  { keyword: 'keepalives_count', fate: 'ignored', note: 'the operating system’s counts' },
  { keyword: 'tcp_user_timeout', fate: 'ignored', note: 'the worker’s own limits for an answer count' },
  { keyword: 'sslcompression', variable: 'PGSSLCOMPRESSION', fate: 'ignored', harmless: ['0'], note: 'nothing is compressed' },
  { keyword: 'sslsni', variable: 'PGSSLSNI', fate: 'ignored', harmless: ['1'], note: 'the name of the host is always sent' },
  { keyword: 'sslkeylogfile', fate: 'ignored', note: 'no keys are written' },
  { keyword: 'krbsrvname', variable: 'PGKRBSRVNAME', fate: 'ignored', note: 'Kerberos is not available here' },
  { keyword: 'gsslib', variable: 'PGGSSLIB', fate: 'ignored', note: 'Kerberos is not available here' },
  { variable: 'PGDATESTYLE', fate: 'ignored', note: 'no statement depends on it' },
  { variable: 'PGTZ', fate: 'ignored', note: 'no statement depends on it; times without a zone are read by DATABASE_TIME_ZONE' },
  { variable: 'PGGEQO', fate: 'ignored', note: 'no statement depends on it' },
  { variable: 'PGSYSCONFDIR', fate: 'ignored', note: 'it matters only with a service, and that is refused' },
  { variable: 'PGLOCALEDIR', fate: 'ignored', note: 'the worker’s messages are English' },
] as const satisfies readonly Listed[]

/** A parameter that is implemented. */
export type Keyword = Extract<(typeof LIST)[number], { fate: 'implemented' }>['keyword']

export interface Parameter extends Listed {
  readonly note: string
}

export const LIBPQ_PARAMETERS: readonly Parameter[] = LIST

export function isImplemented(parameter: Parameter): parameter is Parameter & { readonly keyword: Keyword } {
  return parameter.fate === 'implemented'
}

/** What a reader of the log or of an error needs to know of a parameter that is not implemented; `undefined`: nothing, at this value. */
export function unsupported(
  { fate, harmless = [], note }: Parameter,
  value: string,
): { readonly refused: boolean; readonly text: string } | undefined {
  if (harmless.includes(value)) return undefined
  return fate === 'refused' ? { refused: true, text: `is not supported: ${note}` } : { refused: false, text: `is ignored: ${note}` }
}

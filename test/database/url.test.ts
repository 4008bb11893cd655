import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { displayUrl, parseDatabaseUrl } from '../../src/database/url/database-url.ts'
import type { Parameters } from '../../src/database/url/url-types.ts'
import { MaintenanceError } from '../../src/errors.ts'

interface Read {
  /** What the URL itself gives. */
  readonly given: Parameters
  readonly schema?: string
  readonly notes: readonly string[]
}

function postgres(given: Parameters, rest: Partial<Read> = {}): Read {
  return { given, notes: [], ...rest }
}

function read(text: string): Read {
  const url = parseDatabaseUrl(text)
  assert.ok(url.engine === 'postgres')
  const { given, schema, notes } = url
  return { given, notes, ...(schema === undefined ? {} : { schema }) }
}

function shown(text: string): string {
  return displayUrl(parseDatabaseUrl(text))
}

function refusal(text: string): string {
  try {
    parseDatabaseUrl(text)
  } catch (error) {
    assert.ok(error instanceof MaintenanceError)
    assert.equal(error.code, 'CONFIG_INVALID')
    assert.doesNotMatch(error.message, /\n/)
    return error.message
  }
  return 'accepted'
}

describe('what cannot be read is refused in one line that says what is expected', () => {
  const REFUSED: readonly [text: string, why: RegExp][] = [
    ['', /empty; expected sqlite:\/\/\/FILE/],
    [' sqlite:///x.db', /begins or ends with a space/],
    ['sqlite:///x.db\n', /line break/],
    ['"sqlite:///x.db"', /quotation marks/],
    ['hunter2', /not a database URL/],
    ['x.db', /bare path/],
    ['/var/lib/gateway/gateway.db', /bare path/],
    ['host=localhost dbname=x password=y', /keyword connection string/],
    [':memory:', /in memory/],
    ['sqlite://', /in memory/],
    ['sqlite:///', /in memory/],
    ['sqlite:///:memory:', /in memory/],
    ['sqlite+aiosqlite:///:memory:?cache=shared', /in memory/],
    ['sqlite:x.db', /slashes are missing/],
    ['sqlite:/x.db', /slashes are missing/],
    ['sqlite://x.db', /slashes are missing/],
    ['sqlite:///var/', /folder/],
    ['sqlite:///file:x.db?mode=ro&uri=true', /file: URI/],
    ['file:x.db', /file: URI/],
    ['sqlite+pysqlcipher://:key@/x.db', /driver is not supported/],
    ['jdbc:sqlite:x.db', /jdbc:sqlite/],
    ['jdbc:postgresql:db', /jdbc form/],
    ['jdbc:postgresql://user:key@h/db', /\?user=USER&password=PASSWORD/],
    ['mysql://u:p@h/db', /mysql is not supported: the database is SQLite or PostgreSQL/],
    ['mysql+pymysql://u:p@h/db', /mysql is not supported/],
    ['jdbc:mysql://h/db', /mysql is not supported/],
    ['mongodb+srv://u:p@h/db', /mongodb is not supported/],
    ['postgresql:/u:p@h/db', /not a database URL/],
    ['https://h/db', /not a database URL/],
    ['postgresql://u:p@ss@h/db', /must be percent-encoded \(%40/],
    ['postgresql://u:p/ss@h/db', /must be percent-encoded/],
    ['postgresql://u:p%ss@h/db', /percent sign itself is written %25/],
    ['postgresql://u:p%00@h/db', /%25/],
    ['postgresql://u:p%ff@h/db', /%25/],
    ['postgresql://h/a/b', /must be percent-encoded/],
    ['postgresql://u:p#s@s@h/db', /must be percent-encoded/],
    ['postgresql://h/db#x', /must be percent-encoded/],
    ['postgresql://h:x/db', /the port must be a number/],
    ['postgresql://h:0/db', /within 1 to 65535/],
    ['postgresql://h:65536/db', /within 1 to 65535/],
    ['postgresql://h/db?port=x', /not a number/],
    ['postgresql://::1/db', /must be in brackets/],
    ['postgresql://[::1/db', /must be in brackets/],
    ['postgresql://[h]/db', /not an IPv6 address/],
    ['postgresql://h 1/db', /host .* cannot be read/],
    ['postgresql://h/db?sslmode=bogus', /not one of disable, allow, prefer, require, verify-ca, verify-full/],
    ['postgresql://h/db?sslmode=no-verify', /not one of/],
    ['postgresql://h/db?ssl=yes', /not one of/],
    ['postgresql://h/db?sslmode=disable&ssl=true', /both ssl and sslmode/],
    ['postgresql://h/db?sslmode=disable&sslmode=require', /sslmode twice/],
    ['postgresql://h/db?sslrootcert=system&sslmode=require', /needs sslmode=verify-full/],
    ['postgresql://h/db?sslmod=require', /sslmod in the database URL is not supported/],
    ['postgresql://h/db?target_session_attrs=standby', /the worker writes/],
    ['postgresql://h/db?service=gateway', /a different server/],
    ['postgresql:///db?host=a&host=b', /host twice/],
    ['postgresql://a,b,c/db?port=1,2', /2 ports for 3 hosts/],
    ['postgresql://a,b:x/db', /the port must be a number/],
    ['postgresql://a,b c/db', /host .* cannot be read/],
    ['postgresql://a,b/db?hostaddr=10.0.0.1', /1 addresses for 2 hosts/],
    ['postgresql://a/db?hostaddr=b', /hostaddr .* not an address/],
    ['postgresql+psycopg2:///db?host=a:1&host=b:2&port=3', /ports beside its hosts and in port/],
    ['postgresql://h/db?connect_timeout=5s', /connect_timeout .* not a number of seconds/],
    ['postgresql://h/db?target_session_attrs=primary-ish', /target_session_attrs .* not one of any, primary, read-write/],
    ['postgresql://h/db?load_balance_hosts=yes', /load_balance_hosts .* not one of disable, random/],
    ['postgresql://h/db?channel_binding=on', /channel_binding .* not one of disable, prefer, require/],
    ['postgresql://h/db?require_auth=md5,!none', /require_auth .* mixes/],
    ['postgresql://h/db?require_auth=scram', /require_auth .* not one of password, md5/],
    ['postgresql://h/db?sslnegotiation=direct', /sslnegotiation=direct needs sslmode=require/],
    ['postgresql://h/db?sslcertmode=require', /cannot be seen/],
    [
      'postgresql://h/db?ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2',
      /max\w+ .* is older than .* allowed, TLSv1\.3$/,
    ],
    ['postgresql://h/db?ssl_max_protocol_version=TLSv1.1', /older than .* allowed, TLSv1\.2, which ssl_min_protocol_version changes/],
    ['postgresql://h/db?requiressl=1&sslmode=disable', /both requiressl and sslmode/],
    ['postgresql://h/db?ssl_min_protocol_version=SSLv3', /not one of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3/],
    ['postgresql://h/db?sslcrldir=/crl', /sslcrldir .* revoked certificates/],
    ['postgresql://h/db?requirepeer=postgres', /requirepeer .* weaken the connection/],
    ['postgresql://h/db?gssencmode=require', /gssencmode .* weaken the connection/],
    ['postgresql://h/db?min_protocol_version=3.2', /min_protocol_version .* version 3.0/],
    ['postgresql://h/db?oauth_issuer=x', /oauth_issuer .* OAuth/],
    ['jdbc:postgresql://h/db?targetServerType=secondary', /the worker writes/],
    ['jdbc:postgresql://h/db?sslfactory=org.postgresql.ssl.NonValidatingFactory', /sslfactory .* not supported/],
  ]
  for (const [text, why] of REFUSED) test(JSON.stringify(text), () => assert.match(refusal(text), why))
})

describe('a SQLite URL is a path as SQLAlchemy reads it', () => {
  const READ: readonly [text: string, file: string, notes: number][] = [
    ['sqlite:///secure_mcp_gateway.db', 'secure_mcp_gateway.db', 0],
    ['sqlite:////var/lib/gateway/gateway.db', '/var/lib/gateway/gateway.db', 0],
    ['sqlite:///./x.db', './x.db', 0],
    ['sqlite:///../a b#c@d.db', '../a b#c@d.db', 0],
    ['sqlite+pysqlite:///x.db', 'x.db', 0],
    ['sqlite+aiosqlite:////x.db?timeout=30&x=1', '/x.db', 1],
    ['SQLite:///x.db', 'x.db', 0],
    ['sqlite:///a%20b.db', 'a%20b.db', 1],
  ]
  for (const [text, file, notes] of READ)
    test(JSON.stringify(text), () => {
      const url = parseDatabaseUrl(text)
      assert.ok(url.engine === 'sqlite')
      assert.equal(url.file, file)
      assert.equal(url.notes.length, notes)
      assert.equal(displayUrl(url), `sqlite:///${file}`)
    })
})

describe('a PostgreSQL URL is read as libpq, SQLAlchemy or JDBC reads it', () => {
  const READ: readonly [text: string, url: Read][] = [
    ['postgresql://', postgres({})],
    ['postgresql:///', postgres({})],
    ['postgres://h', postgres({ host: 'h' })],
    [
      'postgresql://mcp_user:key@db.example:5433/mcp_gateway',
      postgres({ host: 'db.example', port: '5433', user: 'mcp_user', password: 'key', dbname: 'mcp_gateway' }),
    ],
    ['postgresql://u@h:/db', postgres({ host: 'h', user: 'u', dbname: 'db' })],
    ['postgresql://u:@h/db', postgres({ host: 'h', user: 'u', dbname: 'db' })],
    ['postgresql://u:p#s?s@h/db', postgres({ host: 'h', user: 'u', password: 'p#s?s', dbname: 'db' })],
    ['postgresql://u:a:b+c@h/db', postgres({ host: 'h', user: 'u', password: 'a:b+c', dbname: 'db' })],
    ['postgresql://u%40x:%40%2F%23%3A%3F%25%C3%A9@h/a%20b', postgres({ host: 'h', user: 'u@x', password: '@/#:?%é', dbname: 'a b' })],
    ['postgresql://[::1]:5433/db', postgres({ host: '::1', port: '5433', dbname: 'db' })],
    ['postgresql://[fe80::1%25eth0]/db', postgres({ host: 'fe80::1%eth0', dbname: 'db' })],
    ['postgresql://u:p@/db?host=/run/pg&port=5433', postgres({ host: '/run/pg', port: '5433', user: 'u', password: 'p', dbname: 'db' })],
    ['postgresql://%2Frun%2Fpg/db', postgres({ host: '/run/pg', dbname: 'db' })],
    ['postgresql://h/db?user=u&password=a+b&dbname=other', postgres({ host: 'h', user: 'u', password: 'a+b', dbname: 'other' })],
    [
      'postgresql://h/db?sslmode=verify-ca&sslrootcert=/ca.pem',
      postgres({ host: 'h', dbname: 'db', sslmode: 'verify-ca', sslrootcert: '/ca.pem' }),
    ],
    ['postgresql://h/db?sslmode=', postgres({ host: 'h', dbname: 'db' })],
    ['postgresql://h/db?ssl=true', postgres({ host: 'h', dbname: 'db', sslmode: 'require' })],
    ['postgresql://h/db?sslrootcert=system', postgres({ host: 'h', dbname: 'db', sslrootcert: 'system' })],
    [
      'postgresql://h/db?application_name=gw&options=-c%20role%3Dgateway',
      postgres({ host: 'h', dbname: 'db', application_name: 'gw', options: '-c role=gateway' }),
    ],
    [
      'postgresql://h/db?options=-csearch_path%3D%22$user%22,Gateway,public',
      postgres({ host: 'h', dbname: 'db', options: '-csearch_path="$user",Gateway,public' }, { schema: 'gateway' }),
    ],
    [
      'postgresql://h/db?connect_timeout=5&target_session_attrs=read-write',
      postgres({ host: 'h', dbname: 'db', connect_timeout: '5', target_session_attrs: 'read-write' }),
    ],
    ['postgresql://a:1,b,[::1]:3/db', postgres({ host: 'a,b,::1', port: '1,,3', dbname: 'db' })],
    ['postgresql:///db?host=a,b&port=1,2', postgres({ host: 'a,b', port: '1,2', dbname: 'db' })],
    ['postgresql+psycopg2:///db?host=a:1&host=b:2', postgres({ host: 'a,b', port: '1,2', dbname: 'db' })],
    ['postgresql+asyncpg:///db?host=a&host=b', postgres({ host: 'a,b', dbname: 'db' })],
    [
      'jdbc:postgresql://a:1,b:2/db?targetServerType=master&loadBalanceHosts=true',
      postgres({ host: 'a,b', port: '1,2', dbname: 'db', target_session_attrs: 'primary', load_balance_hosts: 'random' }),
    ],
    [
      'postgresql://h/db?keepalives_idle=5&gssencmode=prefer&client_encoding=UTF8&client_encoding_=x',
      postgres(
        { host: 'h', dbname: 'db' },
        {
          notes: [
            'keepalives_idle in the database URL is ignored: an idle connection is probed after 10 s, always',
            'client_encoding_ in the database URL is ignored: the worker always speaks UTF-8',
          ],
        },
      ),
    ],
    ['postgresql+psycopg2://u:p@h/db', postgres({ host: 'h', user: 'u', password: 'p', dbname: 'db' })],
    ['postgresql+asyncpg://h/db?ssl=require', postgres({ host: 'h', dbname: 'db', sslmode: 'require' })],
    ['postgresql+asyncpg://h/db?ssl=verify-full', postgres({ host: 'h', dbname: 'db', sslmode: 'verify-full' })],
    ['postgresql+psycopg://h/db?options=-c+role%3Dgateway', postgres({ host: 'h', dbname: 'db', options: '-c role=gateway' })],
    [
      'jdbc:postgresql://h:5433/db?user=u&password=a@b/c#d?e=f+%26',
      postgres({ host: 'h', port: '5433', user: 'u', password: 'a@b/c#d?e=f &', dbname: 'db' }),
    ],
    ['jdbc:postgresql://h/db?ssl=true', postgres({ host: 'h', dbname: 'db', sslmode: 'verify-full' })],
    ['jdbc:postgresql://h/db?ssl', postgres({ host: 'h', dbname: 'db', sslmode: 'verify-full' })],
    ['jdbc:postgresql://h/db?ssl=false', postgres({ host: 'h', dbname: 'db' })],
    ['jdbc:postgresql://h/db?ssl=true&sslmode=require', postgres({ host: 'h', dbname: 'db', sslmode: 'require' })],
    [
      'jdbc:postgresql://h/db?ApplicationName=gw&currentSchema=gateway&reWriteBatchedInserts=true',
      postgres(
        { host: 'h', dbname: 'db', application_name: 'gw' },
        { schema: 'gateway', notes: ['reWriteBatchedInserts in the database URL is ignored'] },
      ),
    ],
  ]
  for (const [text, url] of READ) test(JSON.stringify(text), () => assert.deepEqual(read(text), url))
})

function modeOf(text: string, variables: Readonly<Record<string, string>>): string {
  const url = parseDatabaseUrl(text, variables)
  assert.ok(url.engine === 'postgres')
  return url.tls.mode
}

test('the old requiressl of a URL counts before PGSSLMODE, and that of the environment after it', () => {
  assert.equal(modeOf('postgresql://h/db?requiressl=1', { PGSSLMODE: 'disable' }), 'require')
  assert.equal(modeOf('postgresql://h/db?requiressl=0', { PGSSLMODE: 'verify-full' }), 'prefer')
  assert.equal(modeOf('postgresql://h/db', { PGSSLMODE: 'disable', PGREQUIRESSL: '1' }), 'disable')
  assert.equal(modeOf('postgresql://h/db', { PGREQUIRESSL: '1' }), 'require')
})

test('a time for connecting that no timer can hold is a day', () => {
  const url = parseDatabaseUrl('postgresql://h/db?connect_timeout=999999999')
  assert.ok(url.engine === 'postgres')
  assert.equal(url.attemptMs, 24 * 60 * 60_000)
})

test('the URL is shown with everything but its password and the values of options and of what is ignored', () => {
  assert.equal(
    shown('postgresql+asyncpg://u%40x:key@h:5433/a%20b?ssl=require&application_name=g%20w&sslrootcert=/ca.pem'),
    'postgresql://u%40x:***@h:5433/a%20b?application_name=g%20w&sslrootcert=/ca.pem&sslmode=require',
  )
  assert.equal(shown('postgresql://u:key@/db?host=/run/pg&port=5433'), 'postgresql://u:***@/db?host=/run/pg&port=5433')
  assert.equal(shown('postgresql://u@[::1]:5433/db'), 'postgresql://u@[::1]:5433/db')
  assert.equal(shown('jdbc:postgresql://h/db?user=u&password=key'), 'postgresql://u:***@h/db')
  assert.equal(shown('postgresql://u@h/d?options=-c%20app.key%3Dkey&key=key'), 'postgresql://u@h/d?options=***')
  assert.equal(shown('postgresql://'), 'postgresql:///')
})

test('what is shown reads back as the same place', () => {
  for (const text of [
    'postgresql://u@h:1/d?application_name=a%3Db',
    'postgresql://[fe80::1%25eth0]/d',
    'postgresql:///d?host=/run/a%20b&port=2',
    'postgresql://a:1,b,[::1]:3/d?target_session_attrs=primary&sslcert=/a%20b.pem&require_auth=scram-sha-256',
    'postgresql://a,b/d?port=5433&hostaddr=10.0.0.1,10.0.0.2',
  ]) {
    const url = parseDatabaseUrl(text)
    assert.deepEqual(parseDatabaseUrl(displayUrl(url)), url)
  }
})

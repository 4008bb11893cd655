import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { displayUrl, parseDatabaseUrl } from '../../src/database/url/database-url.ts'
import type { PostgresUrl } from '../../src/database/url/url-types.ts'
import { MaintenanceError } from '../../src/errors.ts'

const PLAIN: PostgresUrl = {
  engine: 'postgres',
  host: undefined,
  port: undefined,
  database: undefined,
  user: undefined,
  password: undefined,
  sslmode: 'prefer',
  sslrootcert: undefined,
  applicationName: undefined,
  options: undefined,
  notes: [],
}

/** Parts that are not named are as in the shortest URL. */
function postgres(parts: Partial<PostgresUrl>): PostgresUrl {
  return { ...PLAIN, ...parts }
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
    ['postgresql://a,b/db', /several hosts/],
    ['postgresql://a:1,b:2/db', /several hosts/],
    ['postgresql:///db?host=a,b', /several hosts/],
    ['postgresql+psycopg2:///db?host=a&host=b', /several hosts/],
    ['postgresql://h/db?sslmode=bogus', /not one of disable, allow, prefer, require, verify-ca, verify-full/],
    ['postgresql://h/db?sslmode=no-verify', /not one of/],
    ['postgresql://h/db?ssl=yes', /not one of/],
    ['postgresql://h/db?sslmode=disable&ssl=true', /both ssl and sslmode/],
    ['postgresql://h/db?sslmode=disable&sslmode=require', /sslmode twice/],
    ['postgresql://h/db?sslrootcert=system&sslmode=require', /needs sslmode=verify-full/],
    ['postgresql://h/db?sslmod=require', /sslmod in the database URL is not supported/],
    ['postgresql://h/db?sslcert=x', /sslcert .* not supported/],
    ['postgresql://h/db?channel_binding=require', /channel_binding .* weaken the connection/],
    ['postgresql://h/db?target_session_attrs=standby', /the worker writes/],
    ['postgresql://h/db?hostaddr=10.0.0.1', /a different server/],
    ['postgresql://h/db?service=gateway', /a different server/],
    ['jdbc:postgresql://h/db?targetServerType=secondary', /the worker writes/],
    ['jdbc:postgresql://h/db?sslfactory=org.postgresql.ssl.NonValidatingFactory', /sslfactory .* not supported/],
    ['jdbc:postgresql://a,b/db', /several hosts/],
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
  const READ: readonly [text: string, url: PostgresUrl][] = [
    ['postgresql://', PLAIN],
    ['postgresql:///', PLAIN],
    ['postgres://h', postgres({ host: 'h' })],
    [
      'postgresql://mcp_user:key@db.example:5433/mcp_gateway',
      postgres({ host: 'db.example', port: 5433, user: 'mcp_user', password: 'key', database: 'mcp_gateway' }),
    ],
    ['postgresql://u@h:/db', postgres({ host: 'h', user: 'u', database: 'db' })],
    ['postgresql://u:@h/db', postgres({ host: 'h', user: 'u', database: 'db' })],
    ['postgresql://u:p#s?s@h/db', postgres({ host: 'h', user: 'u', password: 'p#s?s', database: 'db' })],
    ['postgresql://u:a:b+c@h/db', postgres({ host: 'h', user: 'u', password: 'a:b+c', database: 'db' })],
    ['postgresql://u%40x:%40%2F%23%3A%3F%25%C3%A9@h/a%20b', postgres({ host: 'h', user: 'u@x', password: '@/#:?%é', database: 'a b' })],
    ['postgresql://[::1]:5433/db', postgres({ host: '::1', port: 5433, database: 'db' })],
    ['postgresql://[fe80::1%25eth0]/db', postgres({ host: 'fe80::1%eth0', database: 'db' })],
    ['postgresql://u:p@/db?host=/run/pg&port=5433', postgres({ host: '/run/pg', port: 5433, user: 'u', password: 'p', database: 'db' })],
    ['postgresql://%2Frun%2Fpg/db', postgres({ host: '/run/pg', database: 'db' })],
    ['postgresql://h/db?user=u&password=a+b&dbname=other', postgres({ host: 'h', user: 'u', password: 'a+b', database: 'other' })],
    [
      'postgresql://h/db?sslmode=verify-ca&sslrootcert=/ca.pem',
      postgres({ host: 'h', database: 'db', sslmode: 'verify-ca', sslrootcert: '/ca.pem' }),
    ],
    ['postgresql://h/db?sslmode=', postgres({ host: 'h', database: 'db' })],
    ['postgresql://h/db?ssl=true', postgres({ host: 'h', database: 'db', sslmode: 'require' })],
    ['postgresql://h/db?sslrootcert=system', postgres({ host: 'h', database: 'db', sslmode: 'verify-full', sslrootcert: 'system' })],
    [
      'postgresql://h/db?application_name=gw&options=-c%20role%3Dgateway',
      postgres({ host: 'h', database: 'db', applicationName: 'gw', options: '-c role=gateway' }),
    ],
    [
      'postgresql://h/db?options=-csearch_path%3D%22$user%22,Gateway,public',
      postgres({ host: 'h', database: 'db', options: '-csearch_path="$user",Gateway,public', schema: 'gateway' }),
    ],
    [
      'postgresql://h/db?connect_timeout=5&target_session_attrs=read-write',
      postgres({
        host: 'h',
        database: 'db',
        notes: ['connect_timeout in the database URL is ignored', 'target_session_attrs in the database URL is ignored'],
      }),
    ],
    ['postgresql+psycopg2://u:p@h/db', postgres({ host: 'h', user: 'u', password: 'p', database: 'db' })],
    ['postgresql+asyncpg://h/db?ssl=require', postgres({ host: 'h', database: 'db', sslmode: 'require' })],
    ['postgresql+asyncpg://h/db?ssl=verify-full', postgres({ host: 'h', database: 'db', sslmode: 'verify-full' })],
    ['postgresql+psycopg://h/db?options=-c+role%3Dgateway', postgres({ host: 'h', database: 'db', options: '-c role=gateway' })],
    [
      'jdbc:postgresql://h:5433/db?user=u&password=a@b/c#d?e=f+%26',
      postgres({ host: 'h', port: 5433, user: 'u', password: 'a@b/c#d?e=f &', database: 'db' }),
    ],
    ['jdbc:postgresql://h/db?ssl=true', postgres({ host: 'h', database: 'db', sslmode: 'verify-full' })],
    ['jdbc:postgresql://h/db?ssl', postgres({ host: 'h', database: 'db', sslmode: 'verify-full' })],
    ['jdbc:postgresql://h/db?ssl=false', postgres({ host: 'h', database: 'db' })],
    ['jdbc:postgresql://h/db?ssl=true&sslmode=require', postgres({ host: 'h', database: 'db', sslmode: 'require' })],
    [
      'jdbc:postgresql://h/db?ApplicationName=gw&currentSchema=gateway&reWriteBatchedInserts=true',
      postgres({
        host: 'h',
        database: 'db',
        applicationName: 'gw',
        schema: 'gateway',
        notes: ['reWriteBatchedInserts in the database URL is ignored'],
      }),
    ],
  ]
  for (const [text, url] of READ) test(JSON.stringify(text), () => assert.deepEqual(parseDatabaseUrl(text), url))
})

test('the URL is shown with everything but its password and the values of options and of what is ignored', () => {
  assert.equal(
    shown('postgresql+asyncpg://u%40x:key@h:5433/a%20b?ssl=require&application_name=g%20w&sslrootcert=/ca.pem'),
    'postgresql://u%40x:***@h:5433/a%20b?sslmode=require&sslrootcert=/ca.pem&application_name=g%20w',
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
  ]) {
    const url = parseDatabaseUrl(text)
    assert.deepEqual(parseDatabaseUrl(displayUrl(url)), url)
  }
})

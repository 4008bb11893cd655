import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { JOBS } from '../../src/catalogue.ts'
import { loadSettings, type Settings, type Sources } from '../../src/config/load.ts'
import { SETTINGS } from '../../src/config/schema.ts'
import { MaintenanceError } from '../../src/errors.ts'
import { DAY, MINUTE, SECOND } from '../../src/time/clock.ts'

const packageRoot = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'settings-'))
after(() => rmSync(folder, { recursive: true }))

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return name
}

function load(sources: Partial<Sources> = {}): Promise<Settings> {
  return loadSettings({ packageRoot, workingDirectory: folder, env: {}, configFile: undefined, ...sources })
}

async function problems(sources: Partial<Sources>): Promise<readonly string[]> {
  try {
    await load(sources)
  } catch (error) {
    assert.ok(error instanceof MaintenanceError)
    assert.equal(error.code, 'CONFIG_INVALID')
    assert.equal(error.exitCode, 2)
    return error.message.split('\n')
  }
  return []
}

async function only(sources: Partial<Sources>): Promise<string> {
  const found = await problems(sources)
  assert.equal(found.length, 1, found.join('\n'))
  return found[0]!
}

function entry(settings: Settings, key: string): readonly [value: unknown, source: string] {
  const found = settings.entries.find((each) => each.key === key)!
  return [found.value, found.source]
}

test('with nothing given the settings are the documented defaults', async () => {
  const { entries, notes, warnings, ...settings } = await load()
  assert.deepEqual(settings, {
    database: {
      url: { engine: 'sqlite', file: 'secure_mcp_gateway.db', notes: [] },
      schema: undefined,
      timeZone: 'UTC',
      connectTimeoutMs: 60 * SECOND,
    },
    migrations: { enabled: true, lockTimeoutMs: 10 * MINUTE },
    jobs: [
      { job: JOBS[0], enabled: true, schedule: '0 3 * * *', retentionMs: 90 * DAY, rules: [], graceMs: 0, cascade: [] },
      { job: JOBS[1], enabled: true, schedule: '*/15 * * * *', retentionMs: undefined, rules: [], graceMs: 0, cascade: [] },
      { job: JOBS[2], enabled: true, schedule: '*/15 * * * *', retentionMs: undefined, rules: [], graceMs: 0, cascade: [] },
      { job: JOBS[3], enabled: true, schedule: '*/15 * * * *', retentionMs: undefined, rules: [], graceMs: 0, cascade: [] },
    ],
    archive: {
      enabled: false,
      location: { kind: 'folder', path: 'archive' },
      s3: { endpoint: undefined, region: undefined, pathStyle: undefined, insecure: false },
      spool: undefined,
      retentionMs: 365 * DAY,
    },
    partitions: { enabled: true, aheadMs: 14 * DAY },
    receipts: { keyFile: undefined },
    schedule: { timeZone: 'UTC', catchUp: true },
    log: { level: 'info', format: 'auto' },
    health: { file: undefined },
    http: { enabled: false, host: '127.0.0.1', port: 9465, allowedHosts: undefined },
    metrics: { textfile: undefined },
  })
  assert.deepEqual([...new Set(entries.map(({ source }) => source))], ['config/default.yaml'])
  assert.deepEqual([notes, warnings], [[], []])
})

test('variables of libpq that count are named beside the source of the URL, without their values', async () => {
  const variables = { PGHOST: 'h', PGSSLMODE: 'require', PGPASSWORD: 's3cret', PGID: '1', PGSSLSNI: '1' }
  const settings = await load({ env: { DATABASE_URL: 'postgresql:///gateway?sslmode=disable', ...variables } })
  assert.deepEqual(entry(settings, 'database.url'), ['postgresql:///gateway?sslmode=disable', 'DATABASE_URL, PGHOST, PGPASSWORD'])
  assert.deepEqual(entry(await load({ env: variables }), 'database.url')[1], 'config/default.yaml')
})

test('every problem of every source is reported at once, one per line, with its key and source', async () => {
  const configFile = write('bad.yaml', 'log:\n  levle: info\n  format: yaml\njobs:\n  purgeAuditLogs:\n    retention: 90\nhealth: yes\n')
  const env = {
    DATABASE_URL: 'mysql://u:key@h/db',
    MIGRATIONS_ENABLED: 'no',
    PURGE_SESSIONS_SCHEDULE: '61 * * * *',
    SCHEDULE_TIME_ZONE: 'BST',
    AUDIT_LOGS_RETENTION: '-5d',
    LOG_LEVEL: 'loud',
  }
  assert.deepEqual(await problems({ configFile, env }), [
    'log.levle (bad.yaml:2): there is no such setting; did you mean log.level?',
    'health (bad.yaml:7): expected a section with file',
    'log.format (bad.yaml:3): "yaml" is not one of auto, json, pretty',
    'jobs.purgeAuditLogs.retention (bad.yaml:6): 90 has no unit; write a whole number with its unit (ms, s, m, h, d, w), such as 90d',
    'database.url (DATABASE_URL): mysql is not supported: the database is SQLite or PostgreSQL; expected sqlite:///FILE, sqlite:////ABSOLUTE/FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE',
    'migrations.enabled (MIGRATIONS_ENABLED): "no" is not a boolean; write true or false',
    'jobs.purgeAuditLogs.retention (AUDIT_LOGS_RETENTION): "-5d" is not a duration; write a whole number with its unit (ms, s, m, h, d, w), such as 90d',
    'jobs.purgeSessions.schedule (PURGE_SESSIONS_SCHEDULE): "61 * * * *" is not a schedule: minute "61" is not within 0 to 59',
    'schedule.timeZone (SCHEDULE_TIME_ZONE): "BST" is not a time zone; write UTC or a name such as Europe/Berlin',
    'log.level (LOG_LEVEL): "loud" is not one of trace, debug, info, warn, error, fatal, silent',
  ])
})

test('a bad value is refused even if a stronger source overrides it', async () => {
  const configFile = write('overridden.yaml', 'jobs: { purgeAuditLogs: { retention: 90 } }')
  assert.match(await only({ configFile, env: { AUDIT_LOGS_RETENTION: '30d' } }), /overridden\.yaml:1/)
})

describe('the order of the sources, weakest first', () => {
  const configFile = write('order.yaml', 'log:\n  level: warn\n  format: json\njobs:\n  purgeAuditLogs:\n    retention: 30d\n')

  test('a named file wins over the shipped one', async () => {
    assert.deepEqual(entry(await load({ configFile }), 'log.level'), ['warn', 'order.yaml'])
    assert.deepEqual(entry(await load({ configFile }), 'migrations.lockTimeout'), ['10m', 'config/default.yaml'])
  })
  test('the environment wins over files', async () => {
    const settings = await load({ configFile, env: { LOG_LEVEL: 'ERROR', AUDIT_LOGS_RETENTION: '365d' } })
    assert.deepEqual(entry(settings, 'log.level'), ['error', 'LOG_LEVEL'])
    assert.deepEqual(entry(settings, 'log.format'), ['json', 'order.yaml'])
    assert.deepEqual(entry(settings, 'jobs.purgeAuditLogs.retention'), ['365d', 'AUDIT_LOGS_RETENTION'])
    assert.equal(settings.jobs[0]!.retentionMs, 365 * DAY)
  })
  test('an empty environment variable counts as not set', async () => {
    assert.deepEqual(entry(await load({ configFile, env: { LOG_LEVEL: '', DATABASE_URL: '', DATABASE_URL_FILE: '' } }), 'log.level'), [
      'warn',
      'order.yaml',
    ])
  })
  test('MAINTENANCE_CONFIG names a file, and --config wins over it', async () => {
    write('other.json', '{\n\t"log": { "level": "fatal" }\n}')
    const env = { MAINTENANCE_CONFIG: 'other.json' }
    assert.deepEqual(entry(await load({ env }), 'log.level'), ['fatal', 'other.json'])
    assert.deepEqual(entry(await load({ env, configFile }), 'log.level'), ['warn', 'order.yaml'])
    assert.equal((await load({ env: { MAINTENANCE_CONFIG: '' } })).log.level, 'info')
  })
})

describe('DATABASE_URL and DATABASE_URL_FILE', () => {
  test('a file holds the URL; its last line break is no part of it', async () => {
    for (const [name, end] of [
      ['lf', '\n'],
      ['crlf', '\r\n'],
      ['none', ''],
    ]) {
      write(`url-${name}`, `postgresql://u:key@h/db${end}`)
      const settings = await load({ env: { DATABASE_URL_FILE: `url-${name}` } })
      assert.deepEqual(entry(settings, 'database.url'), ['postgresql://u:***@h/db', 'DATABASE_URL_FILE'])
    }
  })
  test('setting both is refused', async () => {
    const env = { DATABASE_URL: 'sqlite:///x.db', DATABASE_URL_FILE: write('both', 'sqlite:///x.db') }
    assert.equal(await only({ env }), 'database.url (DATABASE_URL_FILE): DATABASE_URL is set too; keep one of them')
  })
  test('a file that cannot be read, is empty or holds two lines is refused, and shows nothing of what it holds', async () => {
    assert.match(
      await only({ env: { DATABASE_URL_FILE: 'missing' } }),
      /^database\.url \(DATABASE_URL_FILE\): the file cannot be read: ENOENT/,
    )
    assert.match(await only({ env: { DATABASE_URL_FILE: '.' } }), /EISDIR/)
    assert.match(await only({ env: { DATABASE_URL_FILE: write('empty', '\n') } }), /empty/)
    assert.match(await only({ env: { DATABASE_URL_FILE: write('two', 'postgresql://u:key@h/db\nx\n') } }), /line break/)
  })
  test('the password, the values of options and those of unknown parameters appear only where they are used', async () => {
    const DATABASE_URL = 'postgresql://u:s%65cr3t%2f@h/db?options=-c%20app.key%3Dcr3t&key=cr3t'
    const settings = await load({ env: { DATABASE_URL, PGPASSWORD: 'fallback' } })
    assert.deepEqual(settings.notes, ['key in the database URL is ignored'])
    const { database, ...shown } = settings
    assert.equal(database.url.engine === 'postgres' && database.url.password, 'secr3t/')
    assert.deepEqual(entry(settings, 'database.url'), ['postgresql://u:***@h/db?options=***', 'DATABASE_URL'])
    assert.doesNotMatch(JSON.stringify(shown), /cr3t|fallback/)
  })
  test('a URL given for another setting, as a file name or in its own file shows no password', async () => {
    const url = 'postgresql://u:cr3t@h/db'
    const variables = ['DATABASE_SCHEMA', 'LOG_LEVEL', 'HTTP_PORT', 'SCHEDULE_TIME_ZONE', 'ARCHIVE_DIRECTORY', 'HEALTH_FILE', 'HTTP_HOST']
    for (const name of [
      ...variables,
      'AUDIT_LOGS_RETENTION',
      'AUDIT_LOGS_RETENTION_RULES',
      'PURGE_SESSIONS_SCHEDULE',
      'PURGE_SESSIONS_ENABLED',
      'DATABASE_URL_FILE',
    ]) {
      const problem = await only({ env: { [name]: name === 'LOG_LEVEL' ? `${url}${'x'.repeat(80)}` : url } })
      assert.match(problem, /\/u:\*\*\*@h\/db/, name)
      assert.doesNotMatch(problem, /cr3t/, name)
    }
    assert.match(await only({ configFile: url }), /^postgresql:\/\/u:\*\*\*@h\/db: the configuration file cannot be read/)
    assert.doesNotMatch(await only({ configFile: url }), /cr3t/)
  })
  test('a URL that looks in another schema than the configured one is refused', async () => {
    const DATABASE_URL = 'jdbc:postgresql://h/db?currentSchema=gateway'
    assert.match(await only({ env: { DATABASE_URL } }), /^database\.schema: .*"public".*"gateway"/)
    assert.equal((await load({ env: { DATABASE_URL, DATABASE_SCHEMA: 'gateway' } })).database.schema, 'gateway')
  })
  test('Prisma’s schema in a URL is the setting, and one that is set beside it must be the same', async () => {
    const DATABASE_URL = 'postgresql://u@h/db?schema=My%20gateway'
    const settings = await load({ env: { DATABASE_URL } })
    assert.equal(settings.database.schema, 'My gateway')
    assert.deepEqual(entry(settings, 'database.schema'), ['My gateway', 'schema in the database URL'])
    assert.deepEqual(settings.notes, [])
    assert.equal((await load({ env: { DATABASE_URL, DATABASE_SCHEMA: 'My gateway' } })).database.schema, 'My gateway')
    assert.match(await only({ env: { DATABASE_URL, DATABASE_SCHEMA: 'public' } }), /^database\.schema: .*"public".*"My gateway"/)
    assert.match(await only({ env: { DATABASE_URL: `${DATABASE_URL}&options=-csearch_path%3Dother` } }), /"My gateway".*"other"/)
  })
  for (const [written, problem] of [
    ['%20x%20', /^database\.schema \(schema in the database URL\): " x " begins or ends with a space$/],
    ['%1b[2J', /^database\.schema \(schema in the database URL\): "\\u001b\[2J" holds a control character$/],
    ['pg_temp', /^database\.schema \(schema in the database URL\): "pg_temp" is one of the server’s own schemas/],
    ['x'.repeat(64), /^database\.schema \(schema in the database URL\): .* is longer than 63 bytes/],
    ['sqlite:%2F%2Fu:cr3t%40h%2Fd', /^database\.schema \(schema in the database URL\): "sqlite:\/\/u:\*\*\*@h\/d" holds a password/],
  ] as const)
    test(`what could not be set as the schema is not taken from the URL either: ${written.slice(0, 20)}`, async () => {
      assert.match(await only({ env: { DATABASE_URL: `postgresql://u@h/db?schema=${written}` } }), problem)
    })
  test('a schema of the server itself is refused by name, wherever it is set', async () => {
    for (const name of ['information_schema', 'pg_catalog', 'pg_temp', 'pg_toast', 'pg_x'])
      assert.match(
        await only({ env: { DATABASE_URL: 'postgresql://h/db', DATABASE_SCHEMA: name } }),
        new RegExp(`^database\\.schema \\(DATABASE_SCHEMA\\): "${name}" is one of the server’s own schemas`),
      )
  })
  test('the shipped default of the schema is not a choice, and an explicit public is one', async () => {
    assert.equal((await load({ env: { DATABASE_URL: 'postgresql://h/db' } })).database.schema, undefined)
    assert.equal((await load({ env: { DATABASE_URL: 'postgresql://h/db', DATABASE_SCHEMA: 'public' } })).database.schema, 'public')
  })
})

const PAYMENTS = { name: 'payments', match: { tool_name: ['stripe:*'] }, retentionMs: undefined }

test('every setting can be given by its documented environment variable', async () => {
  const env = {
    DATABASE_URL: 'sqlite:////x.db',
    DATABASE_SCHEMA: 'gateway',
    DATABASE_TIME_ZONE: 'Europe/Berlin',
    DATABASE_CONNECT_TIMEOUT: '500ms',
    MIGRATIONS_ENABLED: 'FALSE',
    MIGRATIONS_LOCK_TIMEOUT: '1h',
    PURGE_AUDIT_LOGS_ENABLED: 'false',
    PURGE_AUDIT_LOGS_SCHEDULE: '0 4 * * *',
    AUDIT_LOGS_RETENTION: '1d',
    AUDIT_LOGS_RETENTION_RULES: '[{ name: payments, match: { tool_name: stripe:* }, retention: forever }]',
    PURGE_AUDIT_LOGS_CASCADE: 'tools',
    PURGE_POLICY_DECISIONS_ENABLED: 'false',
    PURGE_POLICY_DECISIONS_SCHEDULE: '0 5 * * *',
    POLICY_DECISIONS_GRACE: '0s',
    PURGE_POLICY_DECISIONS_CASCADE: 'policy_decisions',
    PURGE_SESSIONS_ENABLED: 'True',
    PURGE_SESSIONS_SCHEDULE: '* * * * * *',
    SESSIONS_GRACE: '5m',
    PURGE_SESSIONS_CASCADE: 'api_keys, audit_logs',
    PURGE_RATE_LIMITS_ENABLED: 'false',
    PURGE_RATE_LIMITS_SCHEDULE: '0 6 * * *',
    RATE_LIMITS_GRACE: '90s',
    PURGE_RATE_LIMITS_CASCADE: 'mcp_servers',
    ARCHIVE_ENABLED: 'true',
    ARCHIVE_DIRECTORY: 's3://bucket/gateway',
    ARCHIVE_RETENTION: 'forever',
    ARCHIVE_S3_ENDPOINT: 'http://10.0.0.7:9000',
    ARCHIVE_S3_REGION: 'eu-central-1',
    ARCHIVE_S3_PATH_STYLE: 'false',
    ARCHIVE_S3_INSECURE: 'true',
    ARCHIVE_SPOOL: '/var/spool/gateway',
    PARTITIONS_ENABLED: 'false',
    PARTITIONS_AHEAD: '30d',
    SCHEDULE_TIME_ZONE: 'Asia/Kolkata',
    SCHEDULE_CATCH_UP: 'false',
    LOG_LEVEL: 'trace',
    LOG_FORMAT: 'pretty',
    HEALTH_FILE: '/tmp/alive',
    HTTP_ENABLED: 'true',
    HTTP_HOST: '::',
    HTTP_PORT: '80',
    HTTP_ALLOWED_HOSTS: 'maintenance.example.com, *.internal',
    METRICS_TEXTFILE: '/var/lib/x.prom',
    RECEIPTS_KEY_FILE: '/run/secrets/receipts.pem',
  }
  const { entries, notes, warnings, ...settings } = await load({ env })
  assert.deepEqual(settings, {
    database: { url: { engine: 'sqlite', file: '/x.db', notes: [] }, schema: 'gateway', timeZone: 'Europe/Berlin', connectTimeoutMs: 500 },
    migrations: { enabled: false, lockTimeoutMs: 60 * MINUTE },
    jobs: [
      { job: JOBS[0], enabled: false, schedule: '0 4 * * *', retentionMs: DAY, rules: [PAYMENTS], graceMs: 0, cascade: ['tools'] },
      { job: JOBS[1], enabled: false, schedule: '0 5 * * *', retentionMs: undefined, rules: [], graceMs: 0, cascade: ['policy_decisions'] },
      {
        job: JOBS[2],
        enabled: true,
        schedule: '* * * * * *',
        retentionMs: undefined,
        rules: [],
        graceMs: 5 * MINUTE,
        cascade: ['api_keys', 'audit_logs'],
      },
      {
        job: JOBS[3],
        enabled: false,
        schedule: '0 6 * * *',
        retentionMs: undefined,
        rules: [],
        graceMs: 90 * SECOND,
        cascade: ['mcp_servers'],
      },
    ],
    archive: {
      enabled: true,
      location: { kind: 's3', bucket: 'bucket', prefix: 'gateway' },
      s3: { endpoint: 'http://10.0.0.7:9000', region: 'eu-central-1', pathStyle: false, insecure: true },
      spool: '/var/spool/gateway',
      retentionMs: undefined,
    },
    partitions: { enabled: false, aheadMs: 30 * DAY },
    receipts: { keyFile: '/run/secrets/receipts.pem' },
    schedule: { timeZone: 'Asia/Kolkata', catchUp: false },
    log: { level: 'trace', format: 'pretty' },
    health: { file: '/tmp/alive' },
    http: { enabled: true, host: '::', port: 80, allowedHosts: ['maintenance.example.com', '*.internal'] },
    metrics: { textfile: '/var/lib/x.prom' },
  })
  assert.deepEqual(
    entries.map(({ source }) => source),
    Object.keys(env),
  )
  assert.deepEqual([notes, warnings], [[], []])
})

test('settings cannot be changed, however deep', async () => {
  const settings = await load()
  assert.throws(() => Object.assign(settings.database, { schema: 'other' }), TypeError)
  assert.throws(() => Object.assign(settings.jobs[0]!, { enabled: false }), TypeError)
})

/** What is said of these variables, by their names. */
async function said(...names: readonly string[]): Promise<readonly string[]> {
  return (await load({ env: Object.fromEntries(names.map((name) => [name, 'key'])) })).warnings
}

test('a variable that looks like a setting is warned of, without its value', async () => {
  const advice: [name: string, advice: string][] = [
    ['PURGE_AUDIT_LOG_ENABLED', 'did you mean PURGE_AUDIT_LOGS_ENABLED?'],
    [
      'PURGE_AUDIT_LOGS_RETENTION',
      'those of purge-audit-logs are PURGE_AUDIT_LOGS_ENABLED, PURGE_AUDIT_LOGS_SCHEDULE, AUDIT_LOGS_RETENTION, AUDIT_LOGS_RETENTION_RULES, PURGE_AUDIT_LOGS_CASCADE',
    ],
    [
      'AUDIT_LOGS_RETENTION_SECURITY',
      'those of purge-audit-logs are PURGE_AUDIT_LOGS_ENABLED, PURGE_AUDIT_LOGS_SCHEDULE, AUDIT_LOGS_RETENTION, AUDIT_LOGS_RETENTION_RULES, PURGE_AUDIT_LOGS_CASCADE',
    ],
    ['AUDIT_LOG_RETENTION_RULES', 'did you mean AUDIT_LOGS_RETENTION_RULES?'],
    ['SCHEDULE_TIMEZONE', 'did you mean SCHEDULE_TIME_ZONE?'],
    ['AUDIT_LOG_RETENTION', 'did you mean AUDIT_LOGS_RETENTION?'],
    ['ARCHIVE_RETENTIONS', 'did you mean ARCHIVE_RETENTION?'],
    ['ARCHIVE_ENABLE', 'did you mean ARCHIVE_ENABLED?'],
    ['RCHIVE_ENABLED', 'did you mean ARCHIVE_ENABLED?'],
    ['DATABSE_URL', 'did you mean DATABASE_URL?'],
    ['DATABASE_URI', 'did you mean DATABASE_URL?'],
    ['DATABASE_URL_FIL', 'did you mean DATABASE_URL_FILE?'],
    ['MAINTENANCE_CONFG', 'did you mean MAINTENANCE_CONFIG?'],
    ['HTTP_ALLOWED_HOST', 'did you mean HTTP_ALLOWED_HOSTS?'],
    ['LOG_LEVELS', 'did you mean LOG_LEVEL?'],
    ['database_url', 'the name is DATABASE_URL'],
    ['Http_Port', 'the name is HTTP_PORT'],
    ['log.level', 'the name is LOG_LEVEL'],
    ['archive_retentions', 'did you mean ARCHIVE_RETENTION?'],
    ['AUDIT_LOGS_RETENTION_DAYS', 'AUDIT_LOGS_RETENTION takes a number with its unit, such as 90d or 30s'],
    ['AUDIT_LOG_RETENTION_DAYS', 'AUDIT_LOGS_RETENTION takes a number with its unit, such as 90d or 30s'],
    ['DATABASE_CONNECT_TIMEOUT_MS', 'DATABASE_CONNECT_TIMEOUT takes a number with its unit, such as 90d or 30s'],
  ]
  for (const [name, text] of advice)
    assert.deepEqual(await said(name), [`the environment variable ${name} is not a setting and is ignored; ${text}`])
})

test('a variable of another program is not taken for a misspelt setting', async () => {
  const others =
    'HTTP_PROXY HTTPS_PROXY http_proxy https_proxy NO_PROXY HTTPS_PORT HTTPS_HOST HTTPS_ENABLED HTTP_SERVICE_HOST HTTP_SERVICE_PORT HTTP_SERVICE_PORT_WEB ' +
    'HTTP_PORT_80_TCP HTTP_PORT_80_TCP_PROTO HTTP_PORT_80_TCP_PORT HTTP_PORT_80_TCP_ADDR HTTP_NAME HTTP_ENV_HTTP_PORTS ARCHIVE_SERVICE_HOST ARCHIVE_PORT ' +
    'MAINTENANCE_PORT MAINTENANCE_SERVICE_HOST DATABASE_HOST DATABASE_PORT DATABASE_NAME DATABASE_USER DATABASE_PASSWORD DATABASE_URL_2 DATABASE_URL2 ' +
    'TEST_DATABASE_URL ASYNC_DATABASE_URL SQLALCHEMY_DATABASE_URI LOG_DIR LOG_FILE LOG_PATH LOGNAME PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGSSLMODE ' +
    'HEALTH_PORT SESSION_TIMEOUT AUDIT_LOG_ENABLED AUDIT_LOG_FILE SCHEDULER_ENABLED METRICS_PORT METRICS_ENABLED NODE_ENV NODE_OPTIONS PATH HOME HOSTNAME TZ'
  assert.deepEqual(await said(...others.split(' ')), [])
  assert.deepEqual((await load({ env: { DATABSE_URL: '', HTTP_PORTS: 'tcp://10.0.0.1:80' } })).warnings, [])
})

test('only a few of many variables that look like settings are named, and only plain names', async () => {
  const many = Array.from({ length: 40 }, (_, at) => `PURGE_SESSIONS_${'ABCDEFGHIJ'[at % 10]}${'ABCD'[at % 4]}${at}`)
  const lines = await said(...many)
  assert.equal(lines.length, 11)
  assert.equal(lines.at(-1), `${new Set(many).size - 10} more environment variables look like settings but are not`)
  assert.deepEqual(await said('DATABASE_UR\x1b[2J', 'DATABASE_UR\n', ` DATABASE_URL`, `PURGE_SESSIONS_${'X'.repeat(80)}`), [])
})

test('a list is a list in a file, and separated by commas in the environment', async () => {
  const configFile = write('hosts.yaml', "http:\n  allowedHosts: [a.example, '*']\n")
  assert.deepEqual((await load({ configFile })).http.allowedHosts, ['a.example', '*'])
  assert.deepEqual(entry(await load({ env: { HTTP_ALLOWED_HOSTS: 'a.example,[::1]' } }), 'http.allowedHosts'), [
    ['a.example', '[::1]'],
    'HTTP_ALLOWED_HOSTS',
  ])
  for (const text of ['a,', ',', 'http://a', 'a:80', 'a b'])
    assert.match(
      await only({ env: { HTTP_ALLOWED_HOSTS: text } }),
      /^http\.allowedHosts \(HTTP_ALLOWED_HOSTS\): ".*" is not a host; write a name/,
    )
  assert.match(
    await only({ env: { PURGE_SESSIONS_CASCADE: 'api_keys,user' } }),
    /^jobs\.purgeSessions\.cascade \(PURGE_SESSIONS_CASCADE\): "user" is none of the gateway’s tables/,
  )
  assert.match(
    await only({ configFile: write('text.yaml', 'http: { allowedHosts: a.example }') }),
    /"a.example" is not a list; write one, such as \[/,
  )
  assert.match(
    await only({ configFile: write('none.yaml', 'http: { allowedHosts: [] }') }),
    /it lists 0 hosts; list 1 to 100, or leave the setting out/,
  )
  assert.match(
    await only({ configFile: write('odd.yaml', 'http: { allowedHosts: [1, [a], {}] }') }),
    /: 1, a list, a section is not a host/,
  )
})

test('a textfile that would not be collected is refused', async () => {
  assert.equal(
    await only({ env: { METRICS_TEXTFILE: '/var/lib/x.txt' } }),
    'metrics.textfile: the name does not end in .prom, and node_exporter ignores any other',
  )
})

test('an address that the platform sets under the name of a port is ignored with a note', async () => {
  for (const text of ['tcp://10.0.0.1:80', 'udp://10.0.0.1:80', 'sctp://10.0.0.1:80', 'tcp://[fd00::1]:80']) {
    const settings = await load({ env: { HTTP_PORT: text, HTTP_SERVICE_HOST: '10.0.0.1', HTTP_PORT_80_TCP: text } })
    assert.deepEqual(entry(settings, 'http.port'), [9465, 'config/default.yaml'])
    assert.deepEqual(settings.notes, [
      'HTTP_PORT is ignored: it holds the address that Kubernetes sets for a service of that name, not a port; set http.port in a file, or set enableServiceLinks: false',
    ])
    assert.deepEqual(settings.warnings, [])
  }
  const configFile = write('port.yaml', 'http: { port: 9000 }')
  assert.equal((await load({ configFile, env: { HTTP_PORT: 'tcp://10.0.0.1:80' } })).http.port, 9_000)
})

test('an invalid port is refused and shown as written', async () => {
  for (const text of ['94a5', '99999', 'http://10.0.0.1:80', 'tcp:80', 'xtcp://10.0.0.1:80'])
    assert.match(await only({ env: { HTTP_PORT: text } }), /^http\.port \(HTTP_PORT\): .* is not a port/)
  // Only the environment is the platform's.
  assert.match(await only({ configFile: write('tcp.yaml', 'http: { port: tcp://10.0.0.1:80 }') }), /is not a port/)
})

test('no other setting has a name that a platform gives to the address of a service', () => {
  const given = /_(?:PORT|SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT_\d+_.*|NAME|ENV_.*)$/
  assert.deepEqual(
    SETTINGS.filter(({ env }) => given.test(env)).map(({ env, format }) => [env, format]),
    [['HTTP_PORT', 'port']],
  )
})

test('a missing file is refused, even the shipped one', async () => {
  assert.match(await only({ configFile: 'missing.yaml' }), /^missing\.yaml: the configuration file cannot be read: ENOENT/)
  assert.match(await only({ packageRoot: folder }), /^config\/default\.yaml: the configuration file cannot be read/)
})

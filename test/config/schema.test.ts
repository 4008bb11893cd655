import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { createConfig, describeSettings, settingProblems, SETTINGS } from '../../src/config/schema.ts'
import { holdsDefaults } from '../../src/config/settings-file.ts'
import { readSettings } from '../../src/config/settings-yaml.ts'

function problem(key: string, value: unknown): string {
  return (
    settingProblems(
      SETTINGS.find((setting) => setting.key === key)!,
      value,
    )[0]?.problem ?? 'accepted'
  )
}

test('the shipped file holds the defaults of the schema', () => {
  const shipped = readSettings(readFileSync(new URL('../../config/default.yaml', import.meta.url), 'utf8'), 'default.yaml')
  assert.deepEqual(shipped.problems, [])
  assert.deepEqual(
    shipped.given.map(({ key, value }) => [key, value]),
    SETTINGS.map((setting) => [setting.key, setting.default]),
  )
})

test('the shipped file is recognised without a parser, and a file with any other value is not', () => {
  const shipped = readFileSync(new URL('../../config/default.yaml', import.meta.url), 'utf8')
  assert.ok(holdsDefaults(shipped))
  assert.ok(holdsDefaults(shipped.replaceAll(/^ *#.*$/gm, '')))
  for (const other of [
    '',
    shipped.replace('retention: 90d', 'retention: 30d'),
    shipped.replace('  format: auto\n', ''),
    shipped.replace(/^# .*$/m, '$&\rx: 1'),
    shipped.replaceAll('\n', '\r\n'),
    `${shipped}x: 1\n`,
  ])
    assert.equal(holdsDefaults(other), false)
})

test('the shipped file names the environment variable of every setting above it', () => {
  const lines = readFileSync(new URL('../../config/default.yaml', import.meta.url), 'utf8').split('\n')
  for (const { key, env } of SETTINGS) {
    const name = key.split('.').at(-1)!
    const at = lines.findIndex((line, index) => line.trim().startsWith(`${name}:`) && new RegExp(`\\b${env}\\b`).test(lines[index - 1]!))
    assert.notEqual(at, -1, `${key} without ${env}`)
  }
})

test('every default is a value that is allowed', () => {
  for (const setting of SETTINGS) assert.deepEqual(settingProblems(setting, setting.default), [], setting.key)
  createConfig().validate({ allowed: 'strict' })
})

test('convict refuses what the formats refuse, and coerces nothing', () => {
  const config = createConfig()
  config.load({
    migrations: { enabled: 'no' },
    jobs: { purgeAuditLogs: { retention: 90 } },
    database: { url: 'mysql://u:s3cret@h/db' },
    log: { levle: 1 },
  })
  assert.throws(
    () => config.validate({ allowed: 'strict' }),
    (error: Error) => {
      assert.match(error.message, /migrations\.enabled: "no" is not a boolean/)
      assert.match(error.message, /jobs\.purgeAuditLogs\.retention: 90 has no unit/)
      assert.match(error.message, /log\.levle/)
      assert.doesNotMatch(error.message, /s3cret/)
      return true
    },
  )
})

test('every setting is described with its variables, its default and one line', () => {
  const described = describeSettings()
  assert.deepEqual(
    described.map(({ key, environment, default: value }) => [key, environment.join(' '), value]),
    [
      ['database.url', 'DATABASE_URL DATABASE_URL_FILE', 'sqlite:///secure_mcp_gateway.db'],
      ['database.schema', 'DATABASE_SCHEMA', 'public'],
      ['database.timeZone', 'DATABASE_TIME_ZONE', 'UTC'],
      ['database.connectTimeout', 'DATABASE_CONNECT_TIMEOUT', '60s'],
      ['migrations.enabled', 'MIGRATIONS_ENABLED', true],
      ['migrations.lockTimeout', 'MIGRATIONS_LOCK_TIMEOUT', '10m'],
      ['jobs.purgeAuditLogs.enabled', 'PURGE_AUDIT_LOGS_ENABLED', true],
      ['jobs.purgeAuditLogs.schedule', 'PURGE_AUDIT_LOGS_SCHEDULE', '0 3 * * *'],
      ['jobs.purgeAuditLogs.retention', 'AUDIT_LOGS_RETENTION', '90d'],
      ['jobs.purgeAuditLogs.rules', 'AUDIT_LOGS_RETENTION_RULES', null],
      ['jobs.purgeAuditLogs.cascade', 'PURGE_AUDIT_LOGS_CASCADE', null],
      ['jobs.purgePolicyDecisions.enabled', 'PURGE_POLICY_DECISIONS_ENABLED', true],
      ['jobs.purgePolicyDecisions.schedule', 'PURGE_POLICY_DECISIONS_SCHEDULE', '*/15 * * * *'],
      ['jobs.purgePolicyDecisions.grace', 'POLICY_DECISIONS_GRACE', '0s'],
      ['jobs.purgePolicyDecisions.cascade', 'PURGE_POLICY_DECISIONS_CASCADE', null],
      ['jobs.purgeSessions.enabled', 'PURGE_SESSIONS_ENABLED', true],
      ['jobs.purgeSessions.schedule', 'PURGE_SESSIONS_SCHEDULE', '*/15 * * * *'],
      ['jobs.purgeSessions.grace', 'SESSIONS_GRACE', '0s'],
      ['jobs.purgeSessions.cascade', 'PURGE_SESSIONS_CASCADE', null],
      ['jobs.purgeRateLimits.enabled', 'PURGE_RATE_LIMITS_ENABLED', true],
      ['jobs.purgeRateLimits.schedule', 'PURGE_RATE_LIMITS_SCHEDULE', '*/15 * * * *'],
      ['jobs.purgeRateLimits.grace', 'RATE_LIMITS_GRACE', '0s'],
      ['jobs.purgeRateLimits.cascade', 'PURGE_RATE_LIMITS_CASCADE', null],
      ['archive.enabled', 'ARCHIVE_ENABLED', false],
      ['archive.directory', 'ARCHIVE_DIRECTORY', 'archive'],
      ['archive.retention', 'ARCHIVE_RETENTION', '365d'],
      ['archive.s3.endpoint', 'ARCHIVE_S3_ENDPOINT', null],
      ['archive.s3.region', 'ARCHIVE_S3_REGION', null],
      ['archive.s3.pathStyle', 'ARCHIVE_S3_PATH_STYLE', null],
      ['archive.s3.insecure', 'ARCHIVE_S3_INSECURE', false],
      ['archive.spool', 'ARCHIVE_SPOOL', null],
      ['partitions.enabled', 'PARTITIONS_ENABLED', true],
      ['partitions.ahead', 'PARTITIONS_AHEAD', '14d'],
      ['schedule.timeZone', 'SCHEDULE_TIME_ZONE', 'UTC'],
      ['schedule.catchUp', 'SCHEDULE_CATCH_UP', true],
      ['log.level', 'LOG_LEVEL', 'info'],
      ['log.format', 'LOG_FORMAT', 'auto'],
      ['health.file', 'HEALTH_FILE', null],
      ['http.enabled', 'HTTP_ENABLED', false],
      ['http.host', 'HTTP_HOST', '127.0.0.1'],
      ['http.port', 'HTTP_PORT', 9465],
      ['http.allowedHosts', 'HTTP_ALLOWED_HOSTS', null],
      ['metrics.textfile', 'METRICS_TEXTFILE', null],
      ['receipts.keyFile', 'RECEIPTS_KEY_FILE', null],
    ],
  )
  for (const { doc } of described) assert.match(doc, /^[a-z].*[^.]$/)
})

describe('values', () => {
  const RETENTION = 'jobs.purgeAuditLogs.retention'
  const VALUES: readonly (readonly [key: string, value: unknown, answer: RegExp])[] = [
    [RETENTION, '1d', /accepted/],
    [RETENTION, '24h', /accepted/],
    [RETENTION, '36500d', /accepted/],
    [RETENTION, '90', /"90" has no unit.*such as 90d/],
    [RETENTION, 90, /90 has no unit/],
    [RETENTION, '-5d', /not a duration/],
    [RETENTION, '1.5h', /not a duration/],
    [RETENTION, '90 d', /not a duration/],
    [RETENTION, '90D', /not a duration/],
    [RETENTION, '3mo', /not a duration/],
    [RETENTION, '', /not a duration/],
    [RETENTION, null, /an empty value is not a duration/],
    [RETENTION, '23h', /"23h" is shorter than 1d/],
    [RETENTION, '0d', /shorter than 1d/],
    [RETENTION, '36501d', /longer than 36500d/],
    [RETENTION, '999999999d', /longer than/],
    ['database.connectTimeout', '0s', /accepted/],
    ['database.connectTimeout', '24d', /accepted/],
    ['database.connectTimeout', '25d', /longer than 24d/],
    ['migrations.enabled', true, /accepted/],
    ['migrations.enabled', 'true', /"true" is not a boolean/],
    ['migrations.enabled', 'no', /"no" is not a boolean; write true or false/],
    ['migrations.enabled', 1, /1 is not a boolean/],
    ['migrations.enabled', null, /an empty value is not a boolean/],
    ['jobs.purgeSessions.schedule', '* * * * * *', /accepted/],
    ['jobs.purgeSessions.schedule', '0 0 13 * 5', /"0 0 13 \* 5" is not a schedule: it restricts both/],
    ['jobs.purgeSessions.schedule', 15, /15 is not a schedule/],
    ['jobs.purgeSessions.cascade', null, /accepted/],
    ['jobs.purgeSessions.cascade', ['api_keys', 'sessions'], /accepted/],
    ['jobs.purgeSessions.cascade', 'api_keys', /"api_keys" is not a list; write one, such as \[tools\]/],
    ['jobs.purgeSessions.cascade', [], /it lists no tables/],
    ['jobs.purgeSessions.cascade', ['api_keys', 'users', 5], /^"users", 5 is none of the gateway’s tables, which are tools, /],
    ['schedule.timeZone', 'UTC', /accepted/],
    ['schedule.timeZone', 'utc', /accepted/],
    ['schedule.timeZone', 'America/Argentina/Buenos_Aires', /accepted/],
    ['schedule.timeZone', 'Etc/GMT+5', /accepted/],
    ['schedule.timeZone', 'Mars/Olympus', /not a time zone/],
    ['schedule.timeZone', '+02:00', /not a time zone/],
    ['schedule.timeZone', 'IST', /not a time zone/],
    ['schedule.timeZone', 'Europe/Berlin ', /not a time zone/],
    ['schedule.timeZone', null, /an empty value is not a time zone/],
    ['log.level', 'silent', /accepted/],
    ['log.level', 'INFO', /"INFO" is not one of/],
    ['log.level', ['info'], /a list is not one of/],
    ['log.format', 'pretty', /accepted/],
    ['health.file', null, /accepted/],
    ['health.file', '', /it is empty/],
    ['health.file', '/tmp/alive', /accepted/],
    ['health.file', '/tmp/alive\n', /control character/],
    ['http.port', 0, /accepted/],
    ['http.port', 65_535, /accepted/],
    ['http.port', 65_536, /65536 is not a port; write a whole number from 0 to 65535/],
    ['http.port', 1.5, /1\.5 is not a port/],
    ['http.port', '9465', /"9465" is not a port/],
    ['http.port', null, /an empty value is not a port/],
    ['database.schema', 'my schema', /accepted/],
    ['database.schema', ' public', /begins or ends with a space/],
    ['database.schema', 5, /5 is not text; put it in quotation marks/],
    ['database.schema', {}, /a section is not text/],
    ['database.url', 5, /^it is not text$/],
    ['database.url', 'postgresql://u:p@h/db', /accepted/],
    ['database.schema', 'x'.repeat(63), /accepted/],
    ['database.schema', 'x'.repeat(64), /^"x{59}… is longer than 63 bytes/],
    ['database.schema', 'ü'.repeat(32), /is longer than 63 bytes/],
    ['database.schema', 'information_schema', /^"information_schema" is one of the server’s own schemas; name the one that holds/],
    ['database.schema', 'pg_catalog', /is one of the server’s own schemas/],
    ['database.schema', 'pg_temp', /is one of the server’s own schemas/],
    ['database.schema', 'pg_temp_3', /is one of the server’s own schemas/],
    ['database.schema', 'pg_toast', /is one of the server’s own schemas/],
    ['database.schema', 'pg_gateway', /is one of the server’s own schemas/],
    ['database.schema', 'PG_gateway', /accepted/],
    ['database.schema', 'pgateway', /accepted/],
    ['archive.directory', 'x'.repeat(200), /accepted/],
    ['archive.directory', '/srv/archive:2', /accepted/],
    ['archive.directory', './s3:', /accepted/],
    ['archive.directory', 's3://bucket/path', /accepted/],
    ['archive.directory', 's3://bucket', /accepted/],
    ['archive.directory', 's3://bucket.of-us/ein pfad/', /accepted/],
    ['archive.s3.endpoint', null, /accepted/],
    ['archive.s3.endpoint', 'https://s3.example.com', /accepted/],
    ['archive.s3.endpoint', 'http://[::1]:9000/', /accepted/],
    ...['s3.example.com', 'https://u:cr3t@h', 'https://h/path', 'https://h?a=b', 'ftp://h', 'https:/h'].map(
      (endpoint) => ['archive.s3.endpoint', endpoint, /^(?!.*cr3t).*(?:is not an endpoint|holds a password)/] as const,
    ),
    ['archive.s3.region', 'eu-central-1', /accepted/],
    ['archive.s3.region', 'eu central', /is not a region/],
    ['archive.s3.pathStyle', null, /accepted/],
    ['archive.s3.pathStyle', 'yes', /is not a boolean/],
    ...['S3:/bucket', 'S3://bucket', 's3:bucket', 's3:/bucket', 'file:///srv', 'gs://bucket', 'https://host/bucket', 'archive:2'].map(
      (place) => ['archive.directory', place, /^it begins like a URL, and the archive lies in a folder or in a bucket/] as const,
    ),
    ...['s3://', 's3:///path', 's3://ab', 's3://Bucket', 's3://a..b', 's3://bucket:9000/path', 's3://a_b/path'].map(
      (place) => ['archive.directory', place, /^what follows s3:\/\/ is not the name of a bucket/] as const,
    ),
    ...['s3://bucket/a//b', 's3://bucket//a', 's3://bucket/../b', 's3://bucket/.'].map(
      (place) => ['archive.directory', place, /^the path in the bucket has an empty name/] as const,
    ),
    ...['s3://bucket/a?region=b', 's3://bucket/a%20b', 's3://bucket/a#b', 's3://bucket/a\\b', 's3://bucket/\ud800'].map(
      (place) => ['archive.directory', place, /^the path in the bucket holds a \?, #, %/] as const,
    ),
    ['archive.directory', `s3://bucket/${'ü'.repeat(257)}`, /^the path in the bucket has more than 512 bytes/],
    ['log.level', 'x'.repeat(200), /^"x{59}… is not one of/],
  ]
  for (const [key, value, answer] of VALUES) test(`${key}: ${JSON.stringify(value)}`, () => assert.match(problem(key, value), answer))
})

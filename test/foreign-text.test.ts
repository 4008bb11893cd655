import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { randomBytes, randomUUID } from 'node:crypto'
import { messageOf } from '../src/errors.ts'
import { foreignText, isUnmistakable, withoutCredentials } from '../src/foreign-text.ts'

describe('what has the form of a credential', () => {
  const FORMS: readonly (readonly [given: string, left: string])[] = [
    ['connect to postgresql://u:pw@h:5432/db failed', 'connect to postgresql://u:***@h:5432/db failed'],
    ['postgresql+asyncpg://u:p@ss:w/rd@h/db', 'postgresql+asyncpg://u:***@h/db'],
    ['postgresql://u:p w@h/db', 'postgresql://u:***@h/db'],
    ["open '/srv/postgresql:/u:pw@h/db'", "open '/srv/postgresql:/u:***@h/db'"],
    ['redis://:pw@h https://token@h', 'redis://:***@h https://***@h'],
    ['jdbc:postgresql://h/db?user=u&password=pw&ssl=true', 'jdbc:postgresql://h/db?user=u&password=***&ssl=true'],
    ["host=h password='p w' user=u", 'host=h password=*** user=u'],
    ['{"user":"u","password":"p\\"w","port":1}', '{"user":"u","password":***,"port":1}'],
    ['sslpassword=pw api_token: pw, rest', 'sslpassword=*** api_token: ***, rest'],
    [`statement "ALTER ROLE u PASSWORD 'p''w' LOGIN"`, `statement "ALTER ROLE u PASSWORD '***' LOGIN"`],
  ]
  for (const [given, left] of FORMS)
    it(`is taken out of ${given}`, () => {
      assert.equal(withoutCredentials(given), left)
      assert.equal(withoutCredentials(left), left)
    })

  const INNOCENT = [
    'password authentication failed for user "postgres"',
    'http://127.0.0.1:9465 cannot be listened at; write to ops@example.org',
    'sqlite:////var/lib/gateway@2/gateway.db: database is locked',
    'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string',
    'permission denied for table audit_logs',
    'PostgreSQL at db:5432/gateway cannot be reached',
    'GRANT USAGE, CREATE ON SCHEMA "public" TO "password"',
  ]
  for (const text of INNOCENT) it(`is not seen in ${text}`, () => assert.equal(withoutCredentials(text), text))

  it('is looked for in the errors of others, and not in ours', () => {
    assert.equal(messageOf(new Error('no postgresql://u:pw@h\r\n  at all\n')), 'no postgresql://u:***@h at all')
    assert.equal(messageOf('password=pw'), 'password=***')
  })

  it('is taken out of a text that is too long before it is cut', () => {
    for (const form of ['postgresql://u:', "password='", 'password="', "PASSWORD '"])
      assert.doesNotMatch(foreignText(`x ${form}${'cr3t'.repeat(10_000)}`), /cr3t/)
    for (const before of [1_990, 15_995]) assert.doesNotMatch(foreignText(`${' '.repeat(before)}x postgresql://u:cr3t@h`), /cr3t/)
    const long = 'cr3t'.repeat(10_000)
    for (const given of [`x postgresql://u:${long}@h`, `x password='${long}'`, `x password="${long}"`, `x PASSWORD '${long}'`, `x ${long}`])
      assert.doesNotMatch(foreignText(given, [long]), /cr3t/)
    assert.equal(foreignText('x'.repeat(10_000_000)), `${'x'.repeat(2_000)}…`)
  })

  it('takes no time to be looked for in a long text', () => {
    const began = performance.now()
    for (const piece of ['a://', 'a://b:', 'password=', "password '", '"', 'password', 'x', ' '])
      withoutCredentials(piece.repeat(20_000 / piece.length))
    assert.ok(performance.now() - began < 5_000)
  })
})

describe('a secret that is known', () => {
  it('is taken out in every spelling', () => {
    const secret = `ö'1a"b/c d%`
    const once = encodeURIComponent(secret)
    const spelled = [
      secret,
      once,
      once.replaceAll(/%../g, (byte) => byte.toLowerCase()),
      encodeURIComponent(once),
      once.replaceAll('%20', '+'),
    ]
    for (const spelling of [...spelled, JSON.stringify(secret), `'${secret.replaceAll("'", "''")}'`])
      assert.doesNotMatch(foreignText(`no ${spelling} here`, [secret]), /1a|b\/|c/)
    assert.equal(foreignText('x .*+?^${}()|[]\\ $& y', ['.*+?^${}()|[]\\']), 'x *** $& y')
  })

  it('is one only where its letters cannot be a word, a name or a number', () => {
    const random = [
      randomBytes(24).toString('base64url'),
      randomBytes(16).toString('hex'),
      randomUUID(),
      'Tr0ub4dor&3',
      'x!y#z$12',
      'a'.repeat(64),
    ]
    for (const secret of random) assert.ok(isUnmistakable(secret, []), secret)
    const words = [
      'postgres',
      'audit',
      '1',
      'true',
      '2026',
      'purge-audit-logs',
      'maintenance',
      'permission denied for table x',
      'postgres15',
    ]
    for (const secret of [...words, '', ':', '***', 'UTC', '10.1.2.3:5432', 'идентификатор', '2026-11-28', 'idx_audit_logs_timestamp'])
      assert.ok(!isUnmistakable(secret, []), secret)
  })

  it('is none where it is the name of a user, a host or a database', () => {
    assert.ok(isUnmistakable('gate2way', ['h', undefined, 'u']))
    assert.ok(!isUnmistakable('gate2way', ['h', undefined, 'the_gate2way']))
  })
})

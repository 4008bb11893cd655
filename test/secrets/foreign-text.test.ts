import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { messageOf } from '../../src/errors.ts'
import { foreignText, isUnmistakable, withoutCredentials } from '../../src/secrets/foreign-text.ts'

const MORE_PIECES = [
  'a:',
  '" a:',
  '@h',
  'a:@h',
  '\\',
  'password=\\"',
  'password $a$',
  'password $$',
  '--password ',
  'authorization: ',
  'bearer ',
  '//a:',
  "password e'\\",
]

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
    [`statement "ALTER ROLE u PASSWORD 'p''w' LOGIN"`, `statement "ALTER ROLE u PASSWORD *** LOGIN"`],
    [String.raw`{\"user\": \"u\", \"password\": \"p'w\", \"port\": 1}`, String.raw`{\"user\": \"u\", \"password\": ***, \"port\": 1}`],
    [String.raw`{\\\"password\\\":\\\"p\"w\\\"}`, String.raw`{\\\"password\\\":***}`],
    [String.raw`ALTER ROLE u PASSWORD E'p\'w' LOGIN`, 'ALTER ROLE u PASSWORD *** LOGIN'],
    [`ALTER ROLE u PASSWORD $$p'w $x$$ LOGIN`, 'ALTER ROLE u PASSWORD *** LOGIN'],
    ['ALTER ROLE u PASSWORD $tag$p$$w $x$tag$ LOGIN', 'ALTER ROLE u PASSWORD *** LOGIN'],
    ['no way to //u:p/w@h/db', 'no way to //u:***@h/db'],
    ['no way to u:p@/w@h:5432/db, (u:pw@h/db)', 'no way to u:***@h:5432/db, (u:***@h/db)'],
    ['psql --password pw -h h', 'psql --password *** -h h'],
    [`psql --password 'p w' --token=pw`, 'psql --password *** --token=***'],
    ['DB_PASS=pw pass=pw&pwd=pw passphrase: pw', 'DB_PASS=*** pass=***&pwd=*** passphrase: ***'],
    ['api_key=pw api-key: pw apikey=pw access_key=pw', 'api_key=*** api-key: *** apikey=*** access_key=***'],
    ['Authorization: Bearer pw, {"authorization":"Basic pw"}', 'Authorization: Bearer ***, {"authorization":"Basic ***"}'],
    ['sent bearer eyJhbGciOiJIUzI1NiJ9.e30.x', 'sent bearer ***'],
    ['password=***pw token:***pw', 'password=*** token:***'],
    ['postgres://u:***@pw@h/db https://***@pw@h', 'postgres://u:***@h/db https://***@h'],
    ['PGPASSWORD=pw psql', 'PGPASSWORD=*** psql'],
    [String.raw`password=p\w`, 'password=***'],
  ]
  for (const [given, left] of FORMS)
    it(`is taken out of ${given}`, () => {
      assert.equal(withoutCredentials(given), left)
      assert.equal(withoutCredentials(left), left)
    })

  const INNOCENT = [
    'password authentication failed for user "postgres"',
    'http://127.0.0.1:9465 is in use; write to ops@example.org',
    'sqlite:////var/lib/gateway@2/gateway.db: database is locked',
    'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string',
    'permission denied for table audit_logs',
    'PostgreSQL at db:5432/gateway cannot be reached',
    'the pass through the table takes 5 s; bypass=on',
    'bearer authentication is not supported',
    'at 12:30:15 the error of purge: write to mailto:ops@example.org',
    'connection to host:5432, gateway@db1:5432/x is lost',
    '[10.0.0.1:5432] // no comment',
    'GRANT USAGE, CREATE ON SCHEMA "public" TO "password"',
  ]
  for (const text of INNOCENT) it(`is not seen in ${text}`, () => assert.equal(withoutCredentials(text), text))

  it('credentials are searched for in the errors of others, and not in ours', () => {
    assert.equal(messageOf(new Error('no postgresql://u:pw@h\r\n  at all\n')), 'no postgresql://u:***@h at all')
    assert.equal(messageOf('password=pw'), 'password=***')
  })

  it('credentials are removed from a text that is too long before it is cut', () => {
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
    for (const piece of ['a://', 'a://b:', 'password=', "password '", '"', 'password', 'x', ' ', ...MORE_PIECES])
      withoutCredentials(piece.repeat(20_000 / piece.length))
    assert.ok(performance.now() - began < 5_000)
  })
})

describe('a secret that is known', () => {
  it('a known secret is removed in every encoding, and in encodings within encodings', () => {
    for (const secret of SECRETS) {
      for (const [first, once] of Object.entries(WRITERS))
        for (const [second, twice] of Object.entries(WRITERS)) {
          const said = `no ${twice(once(secret))} here`
          assert.equal(foreignText(said, [secret]), `no *** here`, `${first}, then ${second}: ${said}`)
        }
    }
  })

  it('a known secret is removed if each of its characters is encoded differently', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 8, maxLength: 20 }), fc.infiniteStream(fc.nat()), (secret, ways) => {
        fc.pre(isUnmistakable(secret, []))
        const writers = Object.values(CHARACTER_WRITERS)
        const written = Array.from(secret, (character) => writers[Number(ways.next().value) % writers.length]!(character)).join('')
        const left = foreignText(`[no] ${written} [here]`, [secret])
        assert.equal(left, '[no] *** [here]', `${secret} as ${written}`)
      }),
    )
  })

  it('a known secret is removed each time, and the text around it stays', () => {
    assert.equal(foreignText('x .*+?^${}()|[]\\ $& y', ['.*+?^${}()|[]\\']), 'x *** $& y')
    assert.equal(foreignText('ä%41 gate+2way%21 gate 2way! \\u00e4 gate%2B2way!', ['gate 2way!']), 'ä%41 *** *** \\u00e4 ***')
    assert.equal(foreignText('gate2way! '.repeat(10_000), ['gate2way!']), `${'*** '.repeat(500)}…`)
  })

  it('cutting a long text leaves no part of a secret', () => {
    for (const length of [9, 100, 2_000]) {
      const secret = 'cr3!'.repeat(length)
      for (const said of [secret, escapeAll(secret)]) assert.doesNotMatch(foreignText(`${said} `.repeat(40), [secret]), /cr3|25/)
      for (const before of [1_990, 15_995]) assert.doesNotMatch(foreignText(`${'! '.repeat(before / 2)}${secret}`, [secret]), /cr3/)
    }
  })

  it('takes no time to be looked for in a long text', () => {
    const began = performance.now()
    const secret = 'x!'.repeat(100)
    for (const piece of ['%', '%25', '\\', '\\u', '\\u0041', "'", 'x!', '&#', '&#0', '+']) foreignText(piece.repeat(100_000), [secret])
    assert.ok(performance.now() - began < 5_000)
  })

  it('a secret is masked only if it cannot be a word, a name or a number', () => {
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
    for (const secret of ['\\postgres\\', '%70ostgres', 'permission+denied', '\\\\\\\\\\\\\\\\'])
      assert.ok(!isUnmistakable(secret, []), secret)
    for (const secret of [...words, '', ':', '***', 'UTC', '10.1.2.3:5432', 'идентификатор', '2026-11-28', 'idx_audit_logs_timestamp'])
      assert.ok(!isUnmistakable(secret, []), secret)
  })

  it('a secret that is also the name of a user, a host or a database is not masked', () => {
    assert.ok(isUnmistakable('gate2way', ['h', undefined, 'u']))
    assert.ok(!isUnmistakable('gate2way', ['h', undefined, 'the_gate2way']))
    assert.ok(!isUnmistakable('gate%32way', ['h', undefined, 'the_gate2way']))
  })
})

const SECRETS = [`ö'1a"b/c d%`, `Zq4!säcret(99)*~`, 'gate+2way=&<x>', '🙂 schlüssel#7', `#\\n"'"'\\u00e4%41x`, 'a%2Fb%252Fc!']

const hex = (code: number, digits: number): string => code.toString(16).padStart(digits, '0')
const bytes = (text: string): readonly number[] => [...Buffer.from(text)]
const units = (text: string): readonly number[] => text.split('').map((unit) => unit.charCodeAt(0))

/** Every byte of it. */
function escapeAll(text: string): string {
  return bytes(text)
    .map((byte) => `%25${hex(byte, 2)}`)
    .join('')
}

/** As the libraries of several languages write a text. */
const WRITERS: Readonly<Record<string, (text: string) => string>> = {
  'as it is': (text) => text,
  encodeURIComponent,
  'with escapes in small letters': (text) => encodeURIComponent(text).replaceAll(/%../g, (byte) => byte.toLowerCase()),
  'quote of Python': (text) => encodeURIComponent(text).replaceAll(/[!'()*]/g, (mark) => `%${hex(mark.charCodeAt(0), 2)}`),
  'a form': (text) => new URLSearchParams({ a: text }).toString().slice(2),
  JSON: (text) => JSON.stringify(text).slice(1, -1),
  'JSON in ASCII': (text) =>
    JSON.stringify(text)
      .slice(1, -1)
      .replaceAll(/[^ -~]/g, (unit) => `\\u${hex(unit.charCodeAt(0), 4)}`),
  'JSON of PHP': (text) => JSON.stringify(text).slice(1, -1).replaceAll('/', '\\/'),
  'JSON within HTML': (text) =>
    JSON.stringify(text)
      .slice(1, -1)
      .replaceAll(/[<>&'+]/g, (mark) => `\\u${hex(mark.charCodeAt(0), 4).toUpperCase()}`),
  SQL: (text) => text.replaceAll("'", "''"),
  'a quoted name': (text) => text.replaceAll('"', '""'),
  HTML: (text) =>
    text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;'),
}

/** Of one character; as it is only where it cannot be read as part of another's escape. */
const CHARACTER_WRITERS: Readonly<Record<string, (character: string) => string>> = {
  percent: (character) =>
    bytes(character)
      .map((byte) => `%${hex(byte, 2)}`)
      .join(''),
  'percent twice': escapeAll,
  JSON: (character) =>
    units(character)
      .map((unit) => `\\u${hex(unit, 4)}`)
      .join(''),
  HTML: (character) => Array.from(character, (point) => `&#${point.codePointAt(0)};`).join(''),
  'HTML in hexadecimal': (character) => Array.from(character, (point) => `&#x${hex(point.codePointAt(0)!, 1)};`).join(''),
}

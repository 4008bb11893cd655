import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import * as fc from 'fast-check'
import { parse, stringify } from 'yaml'
import { meantValue, settingProblems, SETTINGS } from '../../src/config/schema.ts'
import { readSettings } from '../../src/config/settings-yaml.ts'
import { CONFIG_SCHEMA_FILE, configSchemaText } from '../../tools/config-schema.ts'

const ROOT = new URL('../../', import.meta.url)
const read = (file: string): string => readFileSync(new URL(file, ROOT), 'utf8')
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a JSON schema
const conforms = new Ajv({ strict: true, strictTypes: false, allowUnionTypes: true }).compile(JSON.parse(configSchemaText()) as object)

/** Whether the program takes a file. */
function isTaken(text: string): boolean {
  const { given, problems } = readSettings(text, 'x.yaml')
  const wrong = given.filter(({ key, value }) => {
    const setting = SETTINGS.find((each) => each.key === key)!
    return settingProblems(setting, meantValue(setting, value)).length > 0
  })
  return problems.length === 0 && wrong.length === 0
}

test('the shipped schema is the one that the settings make, and `npm run docs` writes it', () => {
  assert.equal(read(CONFIG_SCHEMA_FILE), configSchemaText())
})

test('the shipped settings name the schema for editors, and are as it says', () => {
  const shipped = read('config/default.yaml')
  assert.match(shipped, /^# yaml-language-server: \$schema=settings\.schema\.json\n/)
  assert.ok(conforms(parse(shipped)), JSON.stringify(conforms.errors))
})

test('the schema has each setting, with its default and what it is', () => {
  for (const { key, default: value, env } of SETTINGS) {
    const schema = key
      .split('.')
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a JSON schema
      .reduce(
        (node, name) => (node['properties'] as Record<string, Record<string, unknown>>)[name]!,
        JSON.parse(configSchemaText()) as Record<string, unknown>,
      )
    assert.equal(schema['default'], value, key)
    assert.ok(String(schema['description']).includes(env), key)
  }
})

const ALIKE: readonly [text: string, isGood: boolean][] = [
  ['{}', true],
  ['database:', true],
  ['database: {url: "postgresql://u@h/d", timeZone: Europe/Berlin}', true],
  ['database: {url: 5}', false],
  ['database: {url: gateway.db}', false],
  ['database: {timeZone: BST}', false],
  ['database: {timeZone: 2}', false],
  ['database: {connectTimeout: 60}', false],
  ['database: {connectTimeout: "60"}', false],
  ['database: {connectTimeout: 60 s}', false],
  ['database: {connectTimeout: 1w}', true],
  ['database: {schema: ""}', false],
  ['database: {schema: " a"}', false],
  ['databse: {url: "sqlite:///x.db"}', false],
  ['database.url: "sqlite:///x.db"', false],
  ['database: []', false],
  ['jobs: {purgeAuditLogs: {retention: 4w, schedule: "@daily", enabled: false}}', true],
  ['jobs: {purgeAuditLogs: {retention: 90}}', false],
  ['jobs: {purgeAuditLogs: {retention: forever}}', false],
  ['jobs: {purgeAuditLogs: {schedule: "0 3 * *"}}', false],
  ['jobs: {purgeAuditLogs: {schedule: "0 0 3 * * *"}}', true],
  ['jobs: {purgeAuditLogs: {enabled: "true"}}', false],
  ['jobs: {purgeSessions: {retention: 5d}}', false],
  ['jobs: {purgeSessions: {rules: []}}', false],
  ['jobs: {purgeAuditLogs: {rules: ~}}', true],
  ['jobs: {purgeAuditLogs: {rules: []}}', true],
  ['jobs: {purgeAuditLogs: {rules: [{name: a, match: {status: [denied]}, retention: 365d}]}}', true],
  ['jobs: {purgeAuditLogs: {rules: [{name: a, match: {user: x, tool_name: "s:*"}, retention: forever}]}}', true],
  ['jobs: {purgeAuditLogs: {rules: [{name: a, match: {}, retention: 365d}]}}', false],
  ['jobs: {purgeAuditLogs: {rules: [{name: a, match: {status: []}, retention: 365d}]}}', false],
  ['jobs: {purgeAuditLogs: {rules: [{name: a, match: {states: x}, retention: 365d}]}}', false],
  ['jobs: {purgeAuditLogs: {rules: [{name: a, match: {status: 5}, retention: 365d}]}}', false],
  ['jobs: {purgeAuditLogs: {rules: [{name: -a, match: {status: x}, retention: 365d}]}}', false],
  ['jobs: {purgeAuditLogs: {rules: [{name: a, match: {status: x}, retention: 365}]}}', false],
  ['jobs: {purgeAuditLogs: {rules: [{name: a, match: {status: x}}]}}', false],
  ['jobs: {purgeAuditLogs: {rules: [{name: a, match: {status: x}, retention: 365d, also: 1}]}}', false],
  ['jobs: {purgeAuditLogs: {rules: {name: a}}}', false],
  ['jobs: {purgeSessions: {cascade: [api_keys, sessions]}}', true],
  ['jobs: {purgeSessions: {cascade: ~}}', true],
  ['jobs: {purgeSessions: {cascade: [users]}}', false],
  ['jobs: {purgeSessions: {cascade: []}}', false],
  ['jobs: {purgeSessions: {cascade: api_keys}}', false],
  ['archive: {retention: forever}', true],
  ['archive: {retention: 1y}', false],
  ['log: {level: WARNING, format: Pretty}', true],
  ['log: {level: critical}', true],
  ['log: {level: loud}', false],
  ['log: {level: ~}', false],
  ['health: {file: ~}', true],
  ['health: {file: 7}', false],
  ['http: {port: 0}', true],
  ['http: {port: 65536}', false],
  ['http: {port: "9465"}', false],
  ['http: {port: 1.5}', false],
  ['http: {allowedHosts: [localhost, "*.example.com"]}', true],
  ['http: {allowedHosts: localhost}', false],
  ['http: {allowedHosts: []}', false],
  ['metrics: {textfile: /var/lib/x.prom}', true],
]

for (const [text, isGood] of ALIKE)
  test(`program and schema ${isGood ? 'take' : 'refuse'} ${text}`, () => {
    assert.equal(isTaken(text), isGood)
    assert.equal(conforms(parse(text) ?? null), isGood, JSON.stringify(conforms.errors))
  })

const value = fc.oneof(
  fc.constantFrom<unknown>(
    ...SETTINGS.map((setting) => setting.default),
    null,
    true,
    0,
    9465,
    70_000,
    '',
    '90d',
    '4w',
    '0s',
    '90',
    'forever',
  ),
  fc.constantFrom<unknown>(
    'UTC',
    'utc',
    'Europe/Berlin',
    'Etc/GMT+5',
    'BST',
    '@hourly',
    '0 3 * * 1-5',
    ' 0  3 * * * ',
    'Warn',
    'OFF',
    'json',
    ['a.b'],
    [],
  ),
  fc.tuple(fc.integer({ min: 0, max: 99_999 }), fc.constantFrom('ms', 's', 'm', 'h', 'd', 'w', 'y', '')).map((parts) => parts.join('')),
  fc.string(),
  fc.double(),
)

test('whatever the program takes, the schema takes', () => {
  let taken = 0
  fc.assert(
    fc.property(fc.constantFrom(...SETTINGS), value, (setting, given) => {
      const file = setting.key.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), given)
      const text = stringify(file)
      if (!isTaken(text)) return
      taken += 1
      assert.ok(conforms(parse(text)), `${text}${JSON.stringify(conforms.errors)}`)
    }),
    { numRuns: 5_000 },
  )
  assert.ok(taken > 300, `${taken} were taken`)
})

test('what is no matter of judgement, the schema refuses where the program does', () => {
  const plain = SETTINGS.filter(({ format }) => ['truth', 'port', 'choice', 'text'].includes(format))
  fc.assert(
    fc.property(fc.constantFrom(...plain), value, (setting, given) => {
      const text = stringify(setting.key.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), given))
      assert.equal(conforms(parse(text)), isTaken(text), text)
    }),
    { numRuns: 2_000 },
  )
})

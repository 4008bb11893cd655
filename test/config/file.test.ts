import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Given } from '../../src/config/layer.ts'
import { readSettings } from '../../src/config/settings-yaml.ts'

function given(text: string): readonly Pick<Given, 'key' | 'value' | 'where'>[] {
  const layer = readSettings(text, 'x.yaml')
  assert.deepEqual(layer.problems, [])
  return layer.given.map(({ key, value, where }) => ({ key, value, where }))
}

function problem(text: string): string {
  const { problems, given: values } = readSettings(text, 'x.yaml')
  assert.equal(problems.length, 1, problems.join('\n'))
  assert.deepEqual(values, [])
  return problems[0]!
}

describe('a file that is broken is refused with its line', () => {
  const BROKEN: readonly [text: string, why: RegExp][] = [
    ['log:\n  level: info\n format: json\n', /^x\.yaml:3:1: the file is not valid YAML: /],
    ['log:\n  level: info\n  level: warn\n', /^x\.yaml:3:3: .*unique/],
    ['log: {level: info\n', /^x\.yaml:2:1: /],
    ['log:\n\tlevel: info\n', /^x\.yaml:2:/],
    ['log: {}\n---\nlog: {}\n', /^x\.yaml:2:1: .*multiple documents/],
    ['jobs:\n  purgeSessions:\n    schedule: */15 * * * *\n', /^x\.yaml:3:.*begins with \* needs quotation marks/],
    ['{"log": {"level": "info"}', /^x\.yaml:1:/],
    ['log: !secret x\n', /^x\.yaml:1:/],
  ]
  for (const [text, why] of BROKEN) test(JSON.stringify(text), () => assert.match(problem(text), why))
})

test('the error of a broken file shows nothing of its content', () => {
  for (const value of [
    '"s3cret',
    '*s3cret',
    '!s3cret x',
    '"\\s3cret"',
    '@s3cret',
    '| s3cret',
    'x: s3cret: y',
    '`s3cret',
    '%s3cret',
    '[s3cret',
    "'s3cret",
  ])
    for (const text of [`database:\n  url: ${value}\n`, `${value}\n`, `database:\n  ${value}: 1\n`, `database: ${value}`])
      for (const line of readSettings(text, 'x.yaml').problems) assert.doesNotMatch(line, /3cret/, JSON.stringify(text))
})

describe('what is no setting is refused with its line', () => {
  const REFUSED: readonly [text: string, why: RegExp][] = [
    ['log:\n  levels: info\n', /^log\.levels \(x\.yaml:2\): there is no such setting; did you mean log\.level\?/],
    ['lgo:\n  level: info\n', /^lgo \(x\.yaml:1\): there is no such setting; did you mean log\?/],
    ['jobs:\n  purge-audit-logs:\n    enabled: true\n', /^jobs\.purge-audit-logs \(x\.yaml:2\): .*did you mean jobs\.purgeAuditLogs\?/],
    ['jobs:\n  purgeSessions:\n    retention: 9d\n', /^jobs\.purgeSessions\.retention \(x\.yaml:3\): there is no such setting/],
    ['a: 1\n', /^a \(x\.yaml:1\): there is no such setting$/],
    ['1: 1\n', /^1 \(x\.yaml:1\): there is no such setting/],
    ['log.level: info\n', /^log\.level \(x\.yaml:1\): .*a section instead of a dot/],
    ['__proto__: { level: info }\n', /^__proto__ \(x\.yaml:1\)/],
    ['constructor: { prototype: 1 }\n', /^constructor \(x\.yaml:1\)/],
    ['<<: { log: { level: info } }\n', /^\(a key that is not a name\) \(x\.yaml:1\)/],
    ['? [a]\n: 1\n', /^\(a key that is not a name\)/],
    ['log: info\n', /^log \(x\.yaml:1\): expected a section with level, format/],
    ['log:\n  - level: info\n', /^log \(x\.yaml:1\): expected a section/],
    ['- log\n', /^the file \(x\.yaml:1\): expected a section with database, migrations/],
    ['DATABASE_URL=postgresql://u:key@h/db\n', /^the file \(x\.yaml:1\): expected a section/],
  ]
  for (const [text, why] of REFUSED) test(JSON.stringify(text), () => assert.match(problem(text), why))
})

describe('values are handed on as the file types them', () => {
  test('an empty file, a comment and an empty section set nothing', () => {
    for (const text of ['', '# nothing\n', 'log:\n', 'log:\n  # level: info\njobs: {}\n', '\uFEFF']) assert.deepEqual(given(text), [])
  })
  test('each value has its line', () => {
    assert.deepEqual(given('log:\n  level: info\n\nmigrations:\n  enabled: false\nhealth: { file: ~ }\n'), [
      { key: 'log.level', value: 'info', where: 'x.yaml:2' },
      { key: 'migrations.enabled', value: false, where: 'x.yaml:5' },
      { key: 'health.file', value: null, where: 'x.yaml:6' },
    ])
  })
  test('the words no, yes, on and off are text', () => {
    assert.deepEqual(given('migrations: { enabled: no }'), [{ key: 'migrations.enabled', value: 'no', where: 'x.yaml:1' }])
  })
  test('JSON, with tabs and escapes', () => {
    assert.deepEqual(given('{\n\t"health": {\n\t\t"file": "\\/tmp\\/\\u0061"\n\t}\n}\n'), [
      { key: 'health.file', value: '/tmp/a', where: 'x.yaml:3' },
    ])
  })
  test('an alias stands for its value', () => {
    assert.deepEqual(given('database: { timeZone: &zone Europe/Berlin }\nschedule: { timeZone: *zone }\n')[1], {
      key: 'schedule.timeZone',
      value: 'Europe/Berlin',
      where: 'x.yaml:2',
    })
  })
})

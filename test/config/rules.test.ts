import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { showConfig } from '../../src/commands/config.ts'
import { loadSettings, type Settings, type Sources } from '../../src/config/load.ts'
import { MaintenanceError } from '../../src/errors.ts'
import type { Start } from '../../src/program.ts'
import { DAY } from '../../src/time/clock.ts'

const packageRoot = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'rules-'))
after(() => rmSync(folder, { recursive: true }))

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return name
}

function load(sources: Partial<Sources>): Promise<Settings> {
  return loadSettings({ packageRoot, workingDirectory: folder, env: {}, configFile: undefined, ...sources })
}

/** In the environment. */
function given(rules: string, others: Readonly<Record<string, string>> = {}): Promise<Settings> {
  return load({ env: { AUDIT_LOGS_RETENTION_RULES: rules, ...others } })
}

async function refusals(sources: Partial<Sources>): Promise<readonly string[]> {
  try {
    await load(sources)
  } catch (error) {
    assert.ok(error instanceof MaintenanceError)
    assert.equal(error.exitCode, 2)
    return error.lines
  }
  return []
}

/** Without the key and source of the setting. */
async function refused(rules: string, others: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
  const lines = await refusals({ env: { AUDIT_LOGS_RETENTION_RULES: rules, ...others } })
  return lines.map((line) => line.replace(/^jobs\.purgeAuditLogs\.rules(\S*) \(AUDIT_LOGS_RETENTION_RULES\): /, '$1 '))
}

function rulesIn(settings: Settings): Settings['jobs'][number]['rules'] {
  return settings.jobs[0]!.rules
}

const SECURITY = { name: 'security', match: { status: ['denied', 'policy_violation'] }, retentionMs: 365 * DAY }
const PAYMENTS = { name: 'payments', match: { tool_name: ['stripe:*'] }, retentionMs: undefined }
const IN_FILE = write(
  'rules.yaml',
  `jobs:
  purgeAuditLogs:
    retention: 90d
    rules:
      - { name: security, match: { status: [denied, policy_violation] }, retention: 365d }
      - { name: payments, match: { tool_name: ['stripe:*'] }, retention: forever }
`,
)

test('rules stand in a file as YAML or JSON, and in the environment in the same words on one line', async () => {
  assert.deepEqual(rulesIn(await load({ configFile: IN_FILE })), [SECURITY, PAYMENTS])
  const list = [
    { name: 'security', match: { status: ['denied', 'policy_violation'] }, retention: '365d' },
    { name: 'payments', match: { tool_name: 'stripe:*' }, retention: 'forever' },
  ]
  const json = write('rules.json', JSON.stringify({ jobs: { purgeAuditLogs: { rules: list } } }))
  assert.deepEqual(rulesIn(await load({ configFile: json })), [SECURITY, PAYMENTS])
  for (const text of [
    JSON.stringify(list),
    '[{ name: security, match: { status: [denied, policy_violation] }, retention: 365d }, { name: payments, match: { tool_name: stripe:* }, retention: forever }]',
    '- { name: security, match: { status: [denied, policy_violation] }, retention: 365d }\n- { name: payments, match: { tool_name: stripe:* }, retention: forever }\n',
  ])
    assert.deepEqual(rulesIn(await given(text)), [SECURITY, PAYMENTS], text)
})

test('the example of the documents is taken as it stands, with the archive on', async () => {
  const page = readFileSync(join(packageRoot, 'docs/retention-rules.md'), 'utf8')
  const configFile = write('documented.yaml', /```yaml\n([^]*?)```/.exec(page)![1]!)
  assert.deepEqual(rulesIn(await load({ configFile, env: { ARCHIVE_ENABLED: 'true' } })), [SECURITY, PAYMENTS])
})

test('there are none by default, and only the job with a retention can have some', async () => {
  assert.deepEqual(
    (await load({})).jobs.map(({ rules }) => rules),
    [[], [], [], []],
  )
  assert.match(
    (await refusals({ configFile: write('sessions.yaml', 'jobs: {purgeSessions: {rules: []}}') }))[0]!,
    /there is no such setting/,
  )
})

test('the list of a stronger source replaces that of a weaker one, also by none', async () => {
  const one = await load({
    configFile: IN_FILE,
    env: { AUDIT_LOGS_RETENTION_RULES: '[{ name: a, match: { user: x }, retention: 100d }]' },
  })
  assert.deepEqual(rulesIn(one), [{ name: 'a', match: { user: ['x'] }, retentionMs: 100 * DAY }])
  for (const none of ['[]', 'null', '~'])
    assert.deepEqual(rulesIn(await load({ configFile: IN_FILE, env: { AUDIT_LOGS_RETENTION_RULES: none } })), [])
  assert.deepEqual(rulesIn(await load({ configFile: IN_FILE, env: { AUDIT_LOGS_RETENTION_RULES: '' } })), [SECURITY, PAYMENTS])
  for (const none of ['rules:', 'rules: []', 'rules: ~'])
    assert.deepEqual(rulesIn(await load({ configFile: write('none.yaml', `jobs:\n  purgeAuditLogs:\n    ${none}\n`) })), [])
})

test('everything that is wrong with rules is said at once, each with its key and where it stands', async () => {
  const configFile = write(
    'wrong.yaml',
    `log: { level: loud }
jobs:
  purgeAuditLogs:
    retention: 90d
    rules:
      - { name: a, match: { states: denied, user: [] }, retention: 90 }
      - { name: a, match: { status: denied }, retention: 30d, retnetion: 1d }
      - { match: {}, retention: 12h }
      - security
      - { name: 'a b', match: [denied], retention: ~ }
`,
  )
  assert.deepEqual(await refusals({ configFile }), [
    'log.level (wrong.yaml:1): "loud" is not one of trace, debug, info, warn, error, fatal, silent',
    'jobs.purgeAuditLogs.rules[0].match (wrong.yaml:5): "states" is no column to match by; did you mean status?',
    'jobs.purgeAuditLogs.rules[0].match (wrong.yaml:5): user has no value',
    'jobs.purgeAuditLogs.rules[0].retention (wrong.yaml:5): 90 has no unit; write a whole number with its unit (ms, s, m, h, d, w), such as 365d, or forever',
    'jobs.purgeAuditLogs.rules[1] (wrong.yaml:5): there is no retnetion in a rule; did you mean retention?',
    'jobs.purgeAuditLogs.rules[1].name (wrong.yaml:5): "a" is the name of rule [0] too; give each its own',
    'jobs.purgeAuditLogs.rules[2] (wrong.yaml:5): it has no name',
    'jobs.purgeAuditLogs.rules[2].match (wrong.yaml:5): it has no column; name at least one of user, tool_name, action, status',
    'jobs.purgeAuditLogs.rules[2].retention (wrong.yaml:5): "12h" is shorter than 1d, the least that is allowed',
    'jobs.purgeAuditLogs.rules[3] (wrong.yaml:5): "security" is not a rule; write one with name, match, retention, such as { name: security, match: { status: [denied] }, retention: 365d }',
    'jobs.purgeAuditLogs.rules[4].name (wrong.yaml:5): "a b" is not a name; begin with a letter or digit, and go on with those and . _ : @ / -, 64 characters at most',
    'jobs.purgeAuditLogs.rules[4].match (wrong.yaml:5): a list is not a match; write columns with their values, such as { status: [denied] }; columns are user, tool_name, action, status',
    'jobs.purgeAuditLogs.rules[4].retention (wrong.yaml:5): an empty value is not a duration; write a whole number with its unit (ms, s, m, h, d, w), such as 365d, or forever',
    'jobs.purgeAuditLogs.rules[1].retention (wrong.yaml:5): "30d" is shorter than the retention of 90d (jobs.purgeAuditLogs.retention, wrong.yaml:4), and a rule only lengthens it; make the shortest period the retention, and lengthen the others by rules',
    'jobs.purgeAuditLogs.rules[2].retention (wrong.yaml:5): "12h" is shorter than the retention of 90d (jobs.purgeAuditLogs.retention, wrong.yaml:4), and a rule only lengthens it; make the shortest period the retention, and lengthen the others by rules',
  ])
})

describe('what is no list of rules is refused', () => {
  const rule = '{ name: a, match: { user: x }, retention: 365d }'
  const REFUSED: readonly [rules: string, problem: RegExp][] = [
    ['365d', /^ "365d" is not a list of rules; write one, such as \[\{ name/],
    [rule, /^ a section is not a list of rules/],
    ['[null]', /^\[0\] an empty value is not a rule/],
    ['[[]]', /^\[0\] a list is not a rule/],
    [' ', /^ it holds no value; write \[\] for none/],
    ['# none', /^ it holds no value/],
    [
      `[${Array.from({ length: 21 }, (_, at) => rule.replace('name: a', `name: a${at}`)).join(', ')}]`,
      /^ it lists 21 rules, and 20 are the most$/,
    ],
    [`[${rule}`, /^ the value is not valid YAML at character \d+: /],
    [`[${rule}]\n---\n[]`, /^ the value is not valid YAML at character \d+: .*multiple documents/],
    ['[{ name: a, name: b, match: { user: x }, retention: 365d }]', /^ the value is not valid YAML .*unique/],
    ['[{ name: a, match: { user: x, user: y }, retention: 365d }]', /^ the value is not valid YAML .*unique/],
    [
      '[{ name: a, match: { tool_name: *stripe }, retention: 365d }]',
      /^ \*name stands there, .* a text that begins with \* in quotation marks$/,
    ],
    ['[{ name: a, match: { tool_name: [*] }, retention: 365d }]', /^ the value is not valid YAML .*begins with \* needs quotation marks$/],
    ['[{ name: a, match: { user: &x y, action: *x }, retention: 365d }]', /^ \*name stands there, which in YAML repeats another value/],
    [
      '[{ name: a, match: &x { user: y }, retention: 365d }, { name: b, match: *x, retention: 365d }]',
      /^ \*name stands there, which in YAML repeats another value/,
    ],
    ['&x [*x]', /^ \*name stands there, which in YAML repeats another value/],
    ['[{ name: a, match: { user: !!binary aGk= }, retention: 365d }]', /^\[0\]\.match user has a value that is no text: a section$/],
    ['[{ name: a, match: { user: !secret x }, retention: 365d }]', /^ the value is not valid YAML/],
    [
      '[{ name: a, match: { user: 42 }, retention: 365d }]',
      /^\[0\]\.match user has a value that is no text: 42; put it in quotation marks$/,
    ],
    ['[{ name: a, match: { user: [true] }, retention: 365d }]', /^\[0\]\.match user has a value that is no text: true; put it/],
    ['[{ name: a, match: { user: }, retention: 365d }]', /^\[0\]\.match user has no value$/],
    ['%YAML 1.1\n---\n[{ name: a, match: { user: yes }, retention: 365d }]', /^\[0\]\.match user has a value that is no text: true/],
    ['%YAML 1.1\n---\n[{ name: a, match: { user: 2026-01-01 }, retention: 365d }]', /^\[0\]\.match user has a value that is no text: /],
    ['[{ name: a, match: { user: x }, retention: 365D }]', /^\[0\]\.retention "365D" is not a duration/],
    ['[{ name: a, match: { user: x }, retention: Forever }]', /^\[0\]\.retention "Forever" is not a duration; .* or forever$/],
    ['[{ name: a, match: { user: x }, retention: 36501d }]', /^\[0\]\.retention "36501d" is longer than 36500d/],
    ['[{ name: 7, match: { user: x }, retention: 365d }]', /^\[0\]\.name 7 is not text; put it in quotation marks$/],
    ['[{ name: a, match: { user: x }, retention: 365d, __proto__: x }]', /^\[0\] there is no __proto__ in a rule/],
    ['[{ name: a, match: { __proto__: x }, retention: 365d }]', /^\[0\]\.match "__proto__" is no column/],
    ['[{ name: a, match: { "u: p@h": x }, retention: 365d }]', /^\[0\]\.match one of its keys is no column/],
    ['[{ name: a, match: { [user]: x }, retention: 365d }]', /^\[0\]\.match one of its keys is no column/],
    [
      '[{ "a key": 1, name: a, match: { user: x }, retention: 365d }]',
      /^\[0\] it has a key that is not a name; a rule has name, match, retention$/,
    ],
  ]
  for (const [rules, problem] of REFUSED)
    test(JSON.stringify(rules).slice(0, 90), async () => {
      const lines = await refused(rules)
      assert.equal(lines.length, 1, lines.join('\n'))
      assert.match(lines[0]!, problem)
    })

  test('rules that are too long to be recorded', async () => {
    const values = Array.from({ length: 200 }, (_, at) => `"${String(at).padStart(400, 'x')}"`).join(', ')
    assert.deepEqual(await refused(`[{ name: a, match: { user: [${values}] }, retention: 365d }]`), [
      ' the rules are longer than 65536 bytes, the most that is allowed; use prefixes, such as stripe:*',
    ])
  })

  test('an alias in a file', async () => {
    const configFile = write(
      'alias.yaml',
      'jobs:\n  purgeAuditLogs:\n    rules:\n      - { name: a, match: { user: &u x, action: *u }, retention: 365d }\n',
    )
    assert.deepEqual(await refusals({ configFile }), [
      'jobs.purgeAuditLogs.rules (alias.yaml:3): *name stands there, which in YAML repeats another value; write that value out, and a text that begins with * in quotation marks',
    ])
  })

  test('and no password is shown', async () => {
    const url = 'postgresql://u:cr3t@h/db'
    for (const rules of [
      url,
      `[${url}]`,
      `[{ name: "${url}" }]`,
      `[{ "${url}": 1 }]`,
      `[{ match: { "${url}": 1 } }]`,
      `[{ retention: "${url}" }]`,
      `{{${url}`,
    ])
      for (const line of await refused(rules)) assert.doesNotMatch(line, /cr3t/, rules)
  })
})

test('what YAML takes for a text is a text: yes, dates and numbers in quotation marks', async () => {
  const settings = await given(
    '[{ name: "7", match: { user: [yes, no, 2026-01-01, "42", 0o7x, "1:30", !!str 5], action: "null" }, retention: 52w }]',
  )
  assert.deepEqual(rulesIn(settings), [
    { name: '7', match: { user: ['yes', 'no', '2026-01-01', '42', '0o7x', '1:30', '5'], action: ['null'] }, retentionMs: 364 * DAY },
  ])
})

describe('beside other settings, after all sources', () => {
  const year = '[{ name: a, match: { user: x }, retention: 365d }]'

  test('a rule must not be shorter than the retention, wherever the two come from', async () => {
    const configFile = write('base.yaml', 'jobs: { purgeAuditLogs: { retention: 366d } }')
    assert.deepEqual(await refusals({ configFile, env: { AUDIT_LOGS_RETENTION_RULES: year } }), [
      'jobs.purgeAuditLogs.rules[0].retention (AUDIT_LOGS_RETENTION_RULES): "365d" is shorter than the retention of 366d (jobs.purgeAuditLogs.retention, base.yaml:1), and a rule only lengthens it; make the shortest period the retention, and lengthen the others by rules',
    ])
    assert.equal(rulesIn(await load({ configFile, env: { AUDIT_LOGS_RETENTION_RULES: year, AUDIT_LOGS_RETENTION: '90d' } })).length, 1)
    assert.match(
      (await refusals({ configFile: IN_FILE, env: { AUDIT_LOGS_RETENTION: '400d' } }))[0]!,
      /rules\[0\]\.retention \(rules\.yaml:4\): "365d" is shorter than the retention of 400d \(.*, AUDIT_LOGS_RETENTION\)/,
    )
  })

  test('a rule that is as long as the retention is taken, and a note says that it changes nothing', async () => {
    const settings = await given(year, { AUDIT_LOGS_RETENTION: '8760h' })
    assert.equal(rulesIn(settings).length, 1)
    assert.deepEqual(settings.notes, [
      'rule "a" of jobs.purgeAuditLogs.rules keeps rows as long as the retention does, so it changes nothing until that is shortened',
    ])
    assert.deepEqual((await given(year)).notes, [])
  })

  test('with the archive on, a rule must be shorter than the archive is kept, unless one of them is for ever', async () => {
    const archive = { ARCHIVE_ENABLED: 'true' }
    assert.deepEqual(await refused(year, archive), [
      '[0].retention "365d" is not shorter than the 365d for which the archive is kept (archive.retention, config/default.yaml), so these rows would be removed from it as soon as they are archived; set archive.retention to a longer period, such as 730d, or to forever',
    ])
    assert.deepEqual(await refused(year.replace('365d', '364d'), archive), [])
    assert.deepEqual(await refused(year.replace('365d', 'forever'), archive), [])
    assert.deepEqual(await refused(year, { ...archive, ARCHIVE_RETENTION: '730d' }), [])
    assert.deepEqual(await refused(year, { ...archive, ARCHIVE_RETENTION: 'forever' }), [])
    assert.deepEqual(await refused(year), [], 'the archive is off')
  })

  test('a * that means itself is warned of', async () => {
    const { warnings } = await given('[{ name: a, match: { tool_name: ["*error", "a*b*", "ok*"] }, retention: 365d }]')
    assert.deepEqual(
      warnings,
      ['"*error"', '"a*b*"'].map(
        (pattern) =>
          `jobs.purgeAuditLogs.rules[0].match (AUDIT_LOGS_RETENTION_RULES): tool_name ${pattern} has a * before its end, where it means itself; only at the end does it mean everything`,
      ),
    )
  })
})

function shown(settings: Settings, json: boolean): string {
  const texts: string[] = []
  const take = (text: string): void => void texts.push(text)
  const host = { print: take, write: take, printError: take, terminal: { output: false, error: false, columns: () => undefined } }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- all that the command uses
  assert.equal(showConfig({ host, settings } as unknown as Start, json), 0)
  return texts.join('')
}

describe('config', () => {
  test('shows a line for each rule, and where it came from', async () => {
    const lines = shown(await load({ configFile: IN_FILE }), false)
      .split('\n')
      .filter((line) => line.includes('.rules'))
    assert.deepEqual(
      lines.map((line) => line.split(/ {2,}/)),
      [
        ['jobs.purgeAuditLogs.rules[0]', 'security: 365d where status denied or policy_violation', 'rules.yaml'],
        ['jobs.purgeAuditLogs.rules[1]', 'payments: forever where tool_name stripe:*', 'rules.yaml'],
      ],
    )
    assert.match(shown(await load({}), false), /^jobs\.purgeAuditLogs\.rules {2,}- {2,}config\/default\.yaml$/m)
    assert.match(shown(await load({}), false), /^http\.allowedHosts {2,}- /m)
    assert.match(
      shown(await load({ env: { HTTP_ALLOWED_HOSTS: 'a.example, b.example' } }), false),
      /^http\.allowedHosts {2,}a\.example, b\.example {2,}HTTP_ALLOWED_HOSTS$/m,
    )
  })

  test('has them as data with --json', async () => {
    const settings = await given('[{ name: a, match: { user: x }, retention: 365d }]')
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as the command writes it
    const all = JSON.parse(shown(settings, true)) as Record<string, unknown>
    assert.deepEqual(all['jobs.purgeAuditLogs.rules'], {
      value: [{ name: 'a', match: { user: 'x' }, retention: '365d' }],
      source: 'AUDIT_LOGS_RETENTION_RULES',
    })
  })
})

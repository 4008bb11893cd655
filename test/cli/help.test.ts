import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JOBS } from '../../src/catalogue.ts'
import { COMMANDS } from '../../src/cli/commands.ts'
import { helpText } from '../../src/cli/help.ts'

const LINES = helpText().split('\n')

test('the help names every command, what it does, and each of its options below or after it', () => {
  for (const { name, summary, options } of COMMANDS) {
    const at = LINES.findIndex((line) => line.startsWith(`  mcp-gateway-maintenance ${name}`.trimEnd()) && line.includes(summary))
    assert.notEqual(at, -1, name)
    const end = LINES.findIndex((line, index) => index > at && !line.startsWith('      '))
    const shown = LINES.slice(at, end).join('\n')
    for (const option of options) {
      assert.ok(shown.includes(option.form === 'operands' ? `[${option.placeholder}]` : `--${option.name}`), `${name} --${option.name}`)
      assert.ok(shown.includes(option.summary))
    }
  }
})

test('the help names every job, the options of every command, the default database and the exit codes', () => {
  for (const { name, summary } of JOBS) assert.ok(LINES.some((line) => line.includes(name) && line.endsWith(summary)))
  for (const text of ['--config FILE', '--help', '--version', 'sqlite:///secure_mcp_gateway.db', '0 done', '5 safety stop'])
    assert.ok(helpText().includes(text), text)
})

test('the summaries of commands and options begin in one column', () => {
  const usage = LINES.slice(LINES.indexOf('Usage') + 1, LINES.indexOf('Jobs')).filter((line) => /^ +\S.* {2}\S/.test(line))
  const columns = usage.filter((line) => !line.includes('--help')).map((line) => /^ +\S.*? {2,}(?=\S)/.exec(line)![0].length)
  assert.equal(new Set(columns).size, 1, usage.join('\n'))
})

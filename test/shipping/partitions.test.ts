import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { it } from 'node:test'
import { applyMigrations, auditLogs } from '../runs/support.ts'
import { command } from '../support/command.ts'
import { POSTGRES_MAJORS } from '../support/databases.ts'
import { ENGINES, postgresDatabase } from '../support/engines.ts'
import { CHECKOUT } from './checkout.ts'

/** Without what differs from run to run: numbers, sizes, times, names of days, and where lines were broken. */
function shape(text: string): string {
  return text
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/\d[\d,.:-]*/g, '#')
    .replaceAll(/#(?: #)+/g, '#')
    .replaceAll(/# (?:bytes|[kMG]B)\b/g, '# bytes')
    .replaceAll(/# (?:ms|s|min|h|d)(?: # (?:s|min|h))?(?![\w])/g, '# s')
    .trim()
}

/** What docs/partitions.md shows as the answer of a command: the block that follows it. */
function answersIn(page: string): ReadonlyMap<string, string> {
  return new Map(
    [...page.matchAll(/^```sh\nnpm start -- (.+)\n```\n(?:\n[^`]+\n)?\n```text\n([^]*?)^```$/gm)].map((match) => [match[1]!, match[2]!]),
  )
}

it('docs/partitions.md shows what the program says, from the plan to the way back', async () => {
  const shown = answersIn(await readFile(`${CHECKOUT}docs/partitions.md`, 'utf8'))
  assert.deepEqual([...shown.keys()], ['partition plan', 'partition start', 'status', 'partition undo'])
  await using outside = await postgresDatabase(POSTGRES_MAJORS.at(-1)!)
  await applyMigrations(outside.url)
  await auditLogs(outside, ENGINES.at(-1)!, 5_000, 10)
  await outside.sql('ANALYZE audit_logs')
  for (const [words, block] of shown) {
    const { code, stdout, stderr } = await command(words.split(' '), { env: { DATABASE_URL: outside.url } })
    assert.equal(code, 0, stderr)
    if (words === 'status') assert.ok(shape(stdout).includes(shape(block)), stdout)
    else assert.equal(shape(stdout), shape(block), words)
  }
})

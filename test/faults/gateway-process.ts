import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { retentionOf } from '../../src/catalogue.ts'
import type { Arena } from './arena.ts'
import { asText, stamp } from './dialect.ts'
import type { Journal } from './gateway.ts'
import { SUBJECTS } from './subjects.ts'
import { DELETIONS } from './truth.ts'
import { must, mustNot } from './violation.ts'

const GATEWAY = fileURLToPath(new URL('gateway.ts', import.meta.url))

export interface GatewayProcess extends AsyncDisposable {
  stop(): Promise<Journal>
}

export async function startGateway(url: string, seed: number): Promise<GatewayProcess> {
  const child = fork(GATEWAY, [url, String(seed)])
  await once(child, 'message')
  return {
    async stop() {
      const answer = once(child, 'message') as Promise<[Journal]>
      child.send('stop')
      const [journal] = await answer
      return journal
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    },
  }
}

interface Stored {
  readonly mark: string
  readonly due: string
}

/** What the gateway wrote is there until its time, and after an undisturbed run no longer than that. */
export async function checkJournal({ database, engine }: Arena, journal: Journal): Promise<void> {
  const [last] = await database.sql<{ at: number }>(
    'SELECT min(started_at) AS at FROM (SELECT max(started_at) AS started_at FROM maintenance_runs GROUP BY job) AS last',
  )
  const settledAt = stamp(last!.at - 1)
  must(journal.troubles.length === 0, `the gateway had trouble: ${journal.troubles.slice(0, 5).join('; ')}`)
  for (const { table, mark, time, job } of SUBJECTS) {
    const present = await byMark(
      database.sql<Stored>(`SELECT ${mark} AS mark, ${asText(engine, time)} AS due FROM ${table} WHERE ${mark} LIKE 'gw-%'`),
    )
    const gone = await byMark(database.sql<Stored>(`SELECT mark, due FROM ${DELETIONS} WHERE tab = '${table}' AND mark LIKE 'gw-%'`))
    const written = journal.rows.filter((row) => row.table === table)
    const lost = written.filter((row) => !present.has(row.mark) && !gone.has(row.mark))
    mustNot('rows lost', lost.length, `of the gateway's in ${table}: ${sample(lost)}`)
    // The trigger saw another time than the last one the gateway was told is stored: a renewal was overwritten or passed over.
    const wronged = written.filter((row) => gone.has(row.mark) && gone.get(row.mark) !== row.due)
    mustNot('rows deleted that should stay', wronged.length, `of the gateway's in ${table}: ${sample(wronged)}`)
    const changed = written.filter((row) => present.has(row.mark) && present.get(row.mark) !== row.due)
    must(changed.length === 0, `rows of the gateway in ${table} hold another time than it wrote: ${sample(changed)}`)
    if (retentionOf(job) !== undefined) continue
    const left = written.filter((row) => present.has(row.mark) && row.due < settledAt)
    must(left.length === 0, `expired rows of the gateway in ${table} are left: ${sample(left)}`)
  }
}

async function byMark(stored: Promise<readonly Stored[]>): Promise<ReadonlyMap<string, string>> {
  return new Map((await stored).map(({ mark, due }) => [mark, due]))
}

function sample(rows: readonly { readonly mark: string; readonly due: string }[]): string {
  return rows
    .slice(0, 3)
    .map(({ mark, due }) => `${mark} due ${due}`)
    .join(', ')
}

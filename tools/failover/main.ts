import { parseArgs } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import { command, start, type Line, type Running } from '../../test/support/command.ts'
import { POSTGRES_MAJORS } from '../../test/support/postgres-server.ts'
import { asked, ReplicatedPair, type WithoutPrimary } from '../../test/support/standby.ts'
import { KINDS, type Arrangement, type Kind } from './arrangements.ts'

/** How long a failover of the database interrupts a purge, and what the log says meanwhile. Prints a Markdown table. */

/** In place of the time that a cluster takes to decide, which depends on its settings: 30 s with Patroni's. */
const DECIDED_MS = 5_000
const STEADY_MS = 1_500
const LONGEST_MS = 90_000
/** Far more than are deleted meanwhile: a trigger makes each take a while. */
const ROWS = 40_000
const SCHEMA = [
  `CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN NULL; END $$`,
  'CREATE TRIGGER slowly AFTER DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION slowly()',
  `INSERT INTO sessions (session_token, user_identifier, expires_at)
   SELECT n::text, 'u', now() AT TIME ZONE 'UTC' - interval '1 day' - n * interval '1 second' FROM generate_series(1, ${ROWS}) AS n`,
]

const CHANGES = ['switchover', 'failover', 'vanished'] as const
type Change = (typeof CHANGES)[number]

const WHAT: Readonly<Record<Change, string>> = {
  switchover: 'switchover in order',
  failover: `the primary is killed, and ${DECIDED_MS / 1_000} s later the standby promoted`,
  vanished: `the primary's machine vanishes, and ${DECIDED_MS / 1_000} s later the standby is promoted`,
}

interface Measured {
  readonly withoutPrimaryMs: number
  readonly interruptedMs: number
  readonly addedMs: number
}

async function main(words: readonly string[]): Promise<void> {
  const { times } = parseArgs({ args: [...words], options: { times: { type: 'string', default: '5' } } }).values
  const rows: string[] = []
  const seen = new Set<string>()
  for (const kind of KINDS) {
    if (kind.missing !== undefined) {
      process.stdout.write(`${kind.name}: skipped, ${kind.missing}\n`)
      continue
    }
    for (const change of CHANGES) {
      const measured = await measure(kind, change, Number(times), seen)
      const cells = [
        kind.name,
        WHAT[change],
        ...(['withoutPrimaryMs', 'interruptedMs', 'addedMs'] as const).map((name) => medianAndLongest(measured.map((each) => each[name]))),
      ]
      rows.push(`| ${cells.join(' | ')} |`)
      process.stderr.write(`${rows.at(-1)}\n`)
    }
  }
  process.stdout.write(
    [
      `Each ${times} times, on PostgreSQL ${POSTGRES_MAJORS.at(-1)}: median (longest).`,
      '',
      '| the worker reaches the primary by | change | no server took writes for | the purge was interrupted for | of that, after the promotion |',
      '| --- | --- | --- | --- | --- |',
      ...rows,
      '',
      'What the log said meanwhile:',
      '',
      ...[...seen].toSorted().map((line) => `- ${line}`),
      '',
    ].join('\n'),
  )
}

async function measure(kind: Kind, change: Change, times: number, seen: Set<string>): Promise<readonly Measured[]> {
  const measured: Measured[] = []
  await using pair = await ReplicatedPair.start(POSTGRES_MAJORS.at(-1)!)
  await using arrangement = await kind.open(pair)
  const env = { DATABASE_URL: arrangement.url, LOG_LEVEL: 'debug' }
  if ((await command(['migrate'], { env })).code !== 0) throw new Error(`the database cannot be migrated by way of ${kind.name}`)
  for (const sql of SCHEMA) await asked(pair.primaryUrl, sql)
  await pair.caughtUp()
  const running = start(['--run-now', '--job', 'purge-sessions'], { env })
  for (let time = 0; time < times; time += 1) {
    await batchAfter(running, Date.now() + STEADY_MS)
    const { fromMs, toMs } = await changed(pair, arrangement, change)
    const next = atMs(await batchAfter(running, toMs))
    measured.push({ withoutPrimaryMs: toMs - fromMs, interruptedMs: next - fromMs, addedMs: next - toMs })
  }
  running.kill('SIGTERM')
  for (const line of (await running.ended).lines) {
    const event = String(line['event'])
    if (event.startsWith('database.') || /came back/.test(String(line['msg']))) seen.add(`\`${event}\` ${placeless(String(line['msg']))}`)
  }
  return measured
}

async function changed(pair: ReplicatedPair, arrangement: Arrangement, change: Change): Promise<WithoutPrimary> {
  const promoted = (): void => arrangement.promoted()
  if (change === 'vanished') arrangement.vanish()
  const span = await (change === 'switchover' ? pair.switchOver({ promoted }) : pair.failOver({ withoutPrimaryMs: DECIDED_MS, promoted }))
  arrangement.completed()
  return span
}

async function batchAfter(running: Running, momentMs: number): Promise<Line> {
  const found = await Promise.race([
    running.line((line) => line['event'] === 'job.batch' && Number(line['rows']) > 0 && atMs(line) > momentMs),
    sleep(LONGEST_MS, undefined, { ref: false }),
  ])
  if (found === undefined) throw new Error(`no batch was committed for ${LONGEST_MS / 1_000} s`)
  return found
}

function atMs(line: Line): number {
  return Date.parse(String(line['time']))
}

function placeless(text: string): string {
  return text.replaceAll(/127\.0\.0\.1:\d+/g, 'HOST').replaceAll(/[\d,.]+ rows?\b/g, 'N rows')
}

function medianAndLongest(all: readonly number[]): string {
  const sorted = all.toSorted((a, b) => a - b)
  return `${seconds(sorted[Math.floor(sorted.length / 2)]!)} (${seconds(sorted.at(-1)!)})`
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}

await main(process.argv.slice(2))

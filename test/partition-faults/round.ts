import type { Random } from '../faults/random.ts'
import type { TestDatabase } from '../support/engines.ts'
import { shapeOf } from '../support/schema-shape.ts'
import { expiredRows, fingerprint, type Arena } from './arena.ts'
import { commanded, type Moment, type Step, type Way } from './process.ts'
import { startReader, startWriter } from './traffic.ts'

export interface Round {
  /** Those that took place; a command may end before its moment. */
  readonly kills: readonly Kill[]
  readonly steps: readonly string[]
  readonly end: 'plain' | 'partitioned'
  readonly looks: number
  readonly lockedMs: number
  /** How long steps took of commands that nobody killed. */
  readonly undisturbed: Rehearsals
  readonly violations: readonly string[]
}

export interface Kill {
  readonly of: 'process' | 'server'
  readonly way: Way
  readonly step: string
}

/** How long each step of a command took when nothing was in the way. */
export type Rehearsals = Readonly<Record<Way, readonly Step[]>>

/** The machine is not as busy as it was: what was measured last counts, of the steps that are known. */
export function measuredAnew(before: Rehearsals, latest: Rehearsals): Rehearsals {
  const anew = (way: Way): readonly Step[] => {
    const took = new Map(latest[way].map(({ step, tookMs }) => [step, tookMs]))
    return before[way].map(({ step, tookMs }) => ({ step, tookMs: took.get(step) ?? tookMs }))
  }
  return { start: anew('start'), undo: anew('undo'), drop: anew('drop') }
}

/** A lost server and a session of a killed command that still works are both a reason to try again. */
const MOST_TRIES = 4
/** After the first kill, of what is left to do. */
const SECOND_KILL = 0.5

export async function rehearsed(arena: Arena, way: Way): Promise<readonly Step[]> {
  await using outside = await arena.round(way, `rehearsal_${way}`)
  const { code, steps, output } = await commanded(arena.packageRoot, outside.url, way)
  if (code !== 0) throw new Error(`${way} fails where nothing is in its way:\n${output}`)
  return steps
}

/** A command is killed, perhaps twice, and then gone on with or undone, while rows are written and read. */
export async function fought(
  arena: Arena,
  kind: Way,
  name: string,
  random: Random,
  rehearsals: Rehearsals,
  earlier: readonly Kill[],
): Promise<Round> {
  await using outside = await arena.round(kind, name)
  const { url } = outside
  const before = await fingerprint(outside)
  const writer = startWriter(url)
  const reader = startReader(url, arena.standing(kind))
  const kills: Kill[] = []
  const steps: string[] = []
  const violations: string[] = []
  let lockedMs = 0
  const undisturbed: Record<Way, Step[]> = { start: [], undo: [], drop: [] }
  const killed = async (way: Way): Promise<void> => {
    const what = random.fraction() < 0.6 ? 'process' : 'server'
    const moment = momentIn(leastKilled(rehearsals[way], [...earlier, ...kills], way, what), random)
    const ended = await commanded(arena.packageRoot, url, way, moment, async (kill) => {
      if (what === 'process') return kill()
      // Every other time the command goes with it.
      if (random.fraction() < 0.5) kill()
      await arena.server.crash(0, 'SIGKILL')
    })
    if (ended.isKilled) kills.push({ of: what, way, step: moment.step ?? '' })
    // It has done all of its work before its moment came.
    else if (steps.length === 0) undisturbed[way].push(...ended.steps)
    steps.push(
      `${way}: ${ended.isKilled ? what : 'nobody'} killed ${Math.round(moment.afterMs)} ms after "${moment.step ?? 'the beginning'}"`,
    )
    lockedMs = Math.max(lockedMs, ended.lockedMs)
  }
  const toTheEnd = async (way: Way): Promise<void> => {
    for (let tries = 1; ; tries += 1) {
      const ended = await commanded(arena.packageRoot, url, way)
      lockedMs = Math.max(lockedMs, ended.lockedMs)
      if (ended.code === 0) return
      if (tries === MOST_TRIES) return void violations.push(`${way} failed ${tries} times: ${ended.output}`)
    }
  }
  // A purge goes on beside every third of them.
  const purge = kind !== 'drop' && random.fraction() < 0.33 ? commanded(arena.packageRoot, url, 'drop') : undefined
  await killed(kind)
  const isGoneOnWith = kind === 'drop' || (kind === 'start' && random.fraction() < 0.5)
  const way: Way = isGoneOnWith ? kind : 'undo'
  if (random.fraction() < SECOND_KILL) await killed(way)
  await purge
  // As when the time of a killed worker's lease is up.
  await outside.sql('UPDATE maintenance_leases SET expires_at = 0')
  await toTheEnd(way)
  let end: Round['end'] = way === 'undo' ? 'plain' : 'partitioned'
  if (end === 'partitioned') {
    violations.push(...(await partitionedRight(outside, kind)))
    if (random.fraction() < 0.5) {
      await toTheEnd('undo')
      end = 'plain'
    }
  }
  const written = await writer.end().catch((error: unknown) => void violations.push(`a row could not be written: ${String(error)}`))
  const read = await reader.end().catch((error: unknown) => void violations.push(`the table could not be read: ${String(error)}`))
  violations.push(...(read?.seen ?? []))
  const after = await fingerprint(outside)
  if (JSON.stringify(after) !== JSON.stringify(before))
    violations.push(`rows were ${JSON.stringify(before)} and are ${JSON.stringify(after)}`)
  const expired = await expiredRows(outside)
  if (
    expired.rows !== expired.ids ||
    (kind === 'drop' && expired.rows > 0) ||
    (purge === undefined && kind !== 'drop' && expired.rows !== arena.expired)
  )
    violations.push(`${expired.rows} expired rows with ${expired.ids} ids are left`)
  if (written !== undefined) violations.push(...(await writtenRight(outside, written.tokens, written.unknown, written.ids)))
  if (end === 'plain') violations.push(...difference(arena.shape, await shapeOf(outside)))
  return { kills, steps, end, looks: read?.looks ?? 0, lockedMs, undisturbed, violations }
}

/** Every step is to be met, by a kill of each kind. */
function leastKilled(steps: readonly Step[], kills: readonly Kill[], way: Way, of: Kill['of']): readonly Step[] {
  const times = (step: Step): number => kills.filter((kill) => kill.way === way && kill.of === of && kill.step === step.step).length
  const least = Math.min(...steps.map(times))
  return steps.filter((step) => times(step) === least)
}

function momentIn(rehearsal: readonly Step[], random: Random): Moment {
  const { step, tookMs } = random.pick(rehearsal)
  return { step: step === '' ? undefined : step, afterMs: random.fraction() * tookMs }
}

async function writtenRight(
  outside: TestDatabase,
  tokens: readonly string[],
  unknown: readonly string[],
  ids: readonly number[],
): Promise<readonly string[]> {
  const rows = await outside.sql<{ token: string; rows: number }>(
    `SELECT tool_name AS token, count(*)::int AS rows FROM audit_logs WHERE "user" = 'writer' GROUP BY 1`,
  )
  const found = new Map(rows.map((row) => [row.token, row.rows]))
  const [numbers] = await outside.sql<{ rows: number; ids: number; most: number }>(
    'SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids, max(id)::int AS most FROM audit_logs',
  )
  const [next] = await outside.sql<{ id: number }>(
    `INSERT INTO audit_logs (tool_name, "user", action, status) VALUES ('last', 'last', 'invoke', 'success') RETURNING id::int`,
  )
  const allowed = new Set([...tokens, ...unknown])
  return [
    ...tokens.filter((token) => !found.has(token)).map((token) => `${token} was written and is lost`),
    ...[...found].filter(([, each]) => each > 1).map(([token, each]) => `${token} is there ${each} times`),
    ...[...found.keys()].filter((token) => !allowed.has(token)).map((token) => `${token} was refused and is there`),
    ...(ids.every((id, at) => at === 0 || id > ids[at - 1]!) ? [] : ['ids do not rise']),
    ...(numbers!.rows === numbers!.ids ? [] : [`${numbers!.rows} rows have ${numbers!.ids} ids`]),
    ...(next!.id > numbers!.most ? [] : [`after the id ${numbers!.most} came ${next!.id}`]),
  ]
}

/** Nothing is left half done. */
async function partitionedRight(outside: TestDatabase, kind: Way): Promise<readonly string[]> {
  const [found] = await outside.sql<{ kind: string; parts: number; left: number; detached: number }>(
    `SELECT (SELECT relkind::text FROM pg_class WHERE oid = 'audit_logs'::regclass) AS kind,
       (SELECT count(*)::int FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass) AS parts,
       (SELECT count(*)::int FROM pg_class WHERE relname IN ('audit_logs_new', 'audit_logs_undone')) AS left,
       (SELECT count(*)::int FROM maintenance_detached) AS detached`,
  )
  const isRight = found!.kind === 'p' && found!.parts >= 10 && found!.left === 0 && found!.detached === 0
  return isRight ? [] : [`after ${kind} the table is ${JSON.stringify(found)}`]
}

function difference(before: readonly string[], after: readonly string[]): readonly string[] {
  return [
    ...before.filter((line) => !after.includes(line)).map((line) => `the schema has lost: ${line}`),
    ...after.filter((line) => !before.includes(line)).map((line) => `the schema has besides: ${line}`),
  ]
}

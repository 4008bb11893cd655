import type { Random } from '../faults/random.ts'
import type { TestDatabase } from '../support/engines.ts'
import { shapeOf } from '../support/schema-shape.ts'
import { fingerprint, type Arena, type Kind } from './arena.ts'
import { commanded, type Ended, type Moment, type Way } from './process.ts'
import { startReader, startWriter } from './traffic.ts'

export interface Round {
  /** Those that took place; a command may end before its moment. */
  readonly kills: readonly ('process' | 'server')[]
  readonly steps: readonly string[]
  readonly end: 'plain' | 'partitioned'
  readonly looks: number
  readonly lockedMs: number
  readonly violations: readonly string[]
}

/** How long each step took when nothing was in the way. */
export type Rehearsal = readonly { readonly step: string; readonly tookMs: number | undefined }[]

/** A lost server and a worker that still holds the migration lock are both a reason to try again. */
const MOST_TRIES = 4

export async function rehearsed(arena: Arena, kind: Kind): Promise<Rehearsal> {
  await using outside = await arena.round(kind, `rehearsal_${kind}`)
  const { failed, steps } = await commanded(outside.url, kind)
  if (failed !== undefined) throw new Error(`partition ${kind} fails where nothing is in its way: ${failed}`)
  return steps
}

/** A command is killed, perhaps twice, and then gone on with or undone, while rows are written and read. */
export async function fought(arena: Arena, kind: Kind, name: string, random: Random, rehearsal: Rehearsal): Promise<Round> {
  await using outside = await arena.round(kind, name)
  const { url } = outside
  const before = await fingerprint(outside)
  const writer = startWriter(url)
  const reader = startReader(url, arena.standing)
  const kills: ('process' | 'server')[] = []
  const steps: string[] = []
  const violations: string[] = []
  let lockedMs = 0
  const killed = async (way: Way, moment: Moment): Promise<void> => {
    const what = random.fraction() < 0.6 ? 'process' : 'server'
    const ended = await commanded(url, way, moment, async (kill) => {
      if (what === 'process') return kill()
      // Every other time the command goes with it.
      if (random.fraction() < 0.5) kill()
      await arena.server.crash(0, 'SIGKILL')
    })
    if (ended.isKilled) kills.push(what)
    steps.push(`${way}: ${what} at ${ended.steps.at(-1)?.step ?? 'the beginning'} after ${Math.round(moment.afterMs)} ms`)
    lockedMs = Math.max(lockedMs, ended.lockedMs)
  }
  await killed(kind, momentIn(rehearsal, random))
  const way: Way = kind === 'start' && random.fraction() < 0.5 ? 'start' : 'undo'
  // What a second command has left to do is not known: any of its first steps.
  if (random.fraction() < 0.4) await killed(way, { step: random.whole(0, 3), afterMs: random.fraction() * 60 })
  lockedMs = Math.max(lockedMs, (await toTheEnd(url, way, violations)).lockedMs)
  let end: Round['end'] = way === 'undo' ? 'plain' : 'partitioned'
  if (end === 'partitioned') {
    violations.push(...(await partitionedRight(outside)))
    if (random.fraction() < 0.5) {
      lockedMs = Math.max(lockedMs, (await toTheEnd(url, 'undo', violations)).lockedMs)
      end = 'plain'
    }
  }
  const written = await writer.end().catch((error: unknown) => void violations.push(`a row could not be written: ${String(error)}`))
  const read = await reader.end().catch((error: unknown) => void violations.push(`the table could not be read: ${String(error)}`))
  violations.push(...(read?.seen ?? []))
  const after = await fingerprint(outside)
  if (JSON.stringify(after) !== JSON.stringify(before))
    violations.push(`rows were ${JSON.stringify(before)} and are ${JSON.stringify(after)}`)
  if (written !== undefined) violations.push(...(await writtenRight(outside, written.tokens, written.unknown, written.ids)))
  if (end === 'plain') violations.push(...difference(arena.shape, await shapeOf(outside)))
  return { kills, steps, end, looks: read?.looks ?? 0, lockedMs, violations }
}

function momentIn(rehearsal: Rehearsal, random: Random): Moment {
  const step = random.whole(0, rehearsal.length - 1)
  return { step, afterMs: random.fraction() * (rehearsal[step]!.tookMs ?? 0) }
}

async function toTheEnd(url: string, way: Way, violations: string[]): Promise<Ended> {
  for (let tries = 1; ; tries += 1) {
    const ended = await commanded(url, way)
    if (ended.failed === undefined) return ended
    if (tries < MOST_TRIES) continue
    violations.push(`partition ${way} failed ${tries} times: ${ended.failed}`)
    return ended
  }
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

/** Every day up to the end of what was made has its partition, and DEFAULT holds nothing of them. */
async function partitionedRight(outside: TestDatabase): Promise<readonly string[]> {
  const [found] = await outside.sql<{ kind: string; parts: number; left: number }>(
    `SELECT (SELECT relkind::text FROM pg_class WHERE oid = 'audit_logs'::regclass) AS kind,
       (SELECT count(*)::int FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass) AS parts,
       (SELECT count(*)::int FROM pg_class WHERE relname IN ('audit_logs_new', 'audit_logs_undone')) AS left`,
  )
  return found!.kind === 'p' && found!.parts >= 15 && found!.left === 0
    ? []
    : [`after partition start the table is ${JSON.stringify(found)}`]
}

function difference(before: readonly string[], after: readonly string[]): readonly string[] {
  return [
    ...before.filter((line) => !after.includes(line)).map((line) => `the schema has lost: ${line}`),
    ...after.filter((line) => !before.includes(line)).map((line) => `the schema has besides: ${line}`),
  ]
}

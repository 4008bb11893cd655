import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { machineMs } from './traffic.ts'

/** A span in which somebody kept everybody else out of the table, its partitions or its views. */
export interface LockedSpan {
  readonly fromMs: number
  /** From the last look that did not see the lock to the first that saw it no more: the lock was held for at most so long. */
  readonly mostMs: number
  /** From the first look that saw it to the last: it was held for at least so long. */
  readonly leastMs: number
  /** The tables and views, as the server names them. */
  readonly on: readonly string[]
}

export interface LockWatch extends AsyncDisposable {
  end(): Promise<readonly LockedSpan[]>
}

const LOOK_EVERY_MS = 2

/** The names are looked up anew in each look, without a lock: a table that takes another's place is seen from the moment on at which it has. */
const LOCKS = `SELECT c.relname AS name FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'AccessExclusiveLock' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (c.oid = to_regclass('audit_logs') OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass('audit_logs'))
    OR c.relname IN ('recent_audit_activity', 'policy_violations', 'tool_usage_stats'))`

/** Looks every few milliseconds who holds ACCESS EXCLUSIVE on what the gateway uses. */
export async function watchLocks(url: string): Promise<LockWatch> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  const spans: LockedSpan[] = []
  const ending = new AbortController()
  const work = (async () => {
    let freeMs = machineMs()
    let open: { fromMs: number; lastMs: number; on: Set<string> } | undefined
    while (!ending.signal.aborted) {
      const beganMs = machineMs()
      const { rows } = await client.query<{ name: string }>({ name: 'locks', text: LOCKS })
      const nowMs = machineMs()
      if (rows.length > 0) {
        open ??= { fromMs: nowMs, lastMs: nowMs, on: new Set() }
        open.lastMs = nowMs
        for (const { name } of rows) open.on.add(name)
      } else {
        if (open !== undefined)
          spans.push({ fromMs: open.fromMs, mostMs: nowMs - freeMs, leastMs: open.lastMs - open.fromMs, on: [...open.on].toSorted() })
        open = undefined
        freeMs = beganMs
      }
      await sleep(LOOK_EVERY_MS)
    }
  })()
  let ended: Promise<readonly LockedSpan[]> | undefined
  const end = async (): Promise<readonly LockedSpan[]> => {
    ending.abort()
    await work
    await client.end()
    return spans
  }
  const once = (): Promise<readonly LockedSpan[]> => (ended ??= end())
  return { end: once, [Symbol.asyncDispose]: async () => void (await once()) }
}

export function longestLockMs(spans: readonly LockedSpan[]): number {
  return Math.max(0, ...spans.map((span) => span.mostMs))
}

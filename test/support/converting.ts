import { Client } from 'pg'
import type { ConversionListener, PartitionTerms } from '../../src/database/partitioning.ts'
import { DAY, hostClock, SECOND, type Clock } from '../../src/time/clock.ts'
import { AUDIT_LOGS, opened } from '../runs/support.ts'

export interface Conversion {
  readonly clock?: Clock
  readonly timeZone?: string
  readonly schema?: string
  /** The database's clock, at the beginning. */
  readonly now?: number
  /** Called before each step; an error ends the conversion there, as a kill would. */
  readonly step?: (sentence: string) => void
  readonly blocked?: (by: string, waitedMs: number) => void
  readonly signal?: AbortSignal
}

export interface StepTold {
  readonly sentence: string
  readonly tookMs: number
  readonly lockedMs: number | undefined
}

export function terms(now = Date.now()): PartitionTerms {
  return { now, aheadMs: 14 * DAY, periods: [{ name: 'AUDIT_LOGS_RETENTION', keptMs: 90 * DAY }] }
}

/** `partition start`, without the command around it. Returns the steps that were done. */
export async function converted(url: string, conversion: Conversion = {}): Promise<readonly StepTold[]> {
  const { clock = hostClock(), timeZone = 'UTC', schema = 'public', now, step, blocked, signal = new AbortController().signal } = conversion
  await using database = await opened(url, clock, { timeZone, schema })
  const told: StepTold[] = []
  let begun = ''
  const listener: ConversionListener = {
    step: (sentence) => {
      begun = sentence
      step?.(sentence)
    },
    done: (tookMs, lockedMs) => void told.push({ sentence: begun, tookMs, lockedMs }),
    blocked: (by, waitedMs) => blocked?.(by, waitedMs),
  }
  const lock = { timeoutMs: 60 * SECOND, signal, waiting: () => {} }
  await database.partitions(AUDIT_LOGS)!.start(terms(now), { lock, listener, signal })
  return told
}

/** The first words of a step, which are the same whatever the table. */
export const STEPS = ['prepares', 'builds', 'refuses', 'sets aside', 'puts'] as const

/** A clock on which waits are so many times shorter than it says. */
export function hurried(times: number): Clock {
  const clock = hostClock()
  return {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs() * times,
    sleep: (ms, signal) => clock.sleep(ms / times, signal),
  }
}

export interface GatewayBeside extends AsyncDisposable {
  /** Stops, and tells what has become of it. */
  ended(): Promise<Observed>
}

export interface Observed {
  readonly ids: readonly number[]
  readonly errors: readonly string[]
  readonly worstWriteMs: number
  readonly worstReadMs: number
}

/**
 * A gateway that writes 200 rows a second with one prepared statement, `RETURNING *`, at times that do not depend on the answers, and reads with two prepared
 * statements.
 */
export async function gatewayBeside(url: string, perSecond = 200): Promise<GatewayBeside> {
  const [writer, reader] = [new Client({ connectionString: url }), new Client({ connectionString: url })]
  await Promise.all([writer.connect(), reader.connect()])
  const observed = { ids: [] as number[], errors: [] as string[], worstWriteMs: 0, worstReadMs: 0 }
  const insert = {
    name: 'insert',
    text: `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") VALUES ('t', 'u', 'invoke', $1, now() AT TIME ZONE 'UTC') RETURNING *`,
  }
  const reads = [
    { name: 'rows', text: 'SELECT * FROM audit_logs WHERE "user" = $1 ORDER BY "timestamp" DESC LIMIT 20', values: ['u'] },
    { name: 'view', text: 'SELECT * FROM recent_audit_activity LIMIT $1', values: ['5'] },
  ]
  const over = new AbortController()
  const beganMs = performance.now()
  const writes = (async () => {
    for (let n = 0; !over.signal.aborted; n += 1) {
      const dueMs = beganMs + (n * SECOND) / perSecond
      const waitMs = dueMs - performance.now()
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
      try {
        const { rows } = await writer.query<{ id: string }>({ ...insert, values: ['success'] })
        observed.ids.push(Number(rows[0]?.id))
      } catch (error) {
        observed.errors.push(String(error))
      }
      // From when it was due: what waits behind a slow one waits as well.
      observed.worstWriteMs = Math.max(observed.worstWriteMs, performance.now() - dueMs)
    }
  })()
  const looks = (async () => {
    while (!over.signal.aborted) {
      for (const read of reads) {
        const sentMs = performance.now()
        await reader.query(read).catch((error: unknown) => void observed.errors.push(String(error)))
        observed.worstReadMs = Math.max(observed.worstReadMs, performance.now() - sentMs)
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })()
  const end = async (): Promise<void> => {
    if (over.signal.aborted) return
    over.abort()
    await Promise.all([writes, looks])
    await Promise.all([writer.end(), reader.end()])
  }
  return { ended: async () => (await end(), observed), [Symbol.asyncDispose]: end }
}

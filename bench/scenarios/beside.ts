import { setTimeout } from 'node:timers/promises'
import { longestLockMs, type LockedSpan } from '../../test/support/lock-watch.ts'
import type { Copy, EngineName } from '../engines/engine.ts'
import { sharedMs, startChild } from '../processes/child.ts'
import type { Method } from '../processes/contenders.ts'
import { startPurger, totalMs } from '../processes/trials.ts'
import type { Question as LockQuestion } from '../processes/lock-looker.ts'
import type { Question, Write } from '../processes/writer.ts'
import { latencies, type Latencies } from './latencies.ts'
import type { Bench } from './scenario.ts'

const WRITER = new URL('../processes/writer.ts', import.meta.url)
const LOCKS = new URL('../processes/lock-looker.ts', import.meta.url)

/** One purge while a gateway writes. */
export interface Beside {
  readonly totalMs: number
  readonly finished: boolean
  /** The writer before the purge began: the same process on the same database, seconds earlier. */
  readonly undisturbed: Latencies
  readonly disturbed: Latencies
  readonly largestWalBytes: number
  /** For how long everybody was kept out of the table or one of its partitions, at most; 0: it was not watched. */
  readonly lockedMs: number
}

/** The writer's load: any higher, and the writer alone would saturate the engine. */
export const WRITES_PER_SECOND = { sqlite: 100, postgres: 200 } as const satisfies Record<EngineName, number>

export interface Writing {
  /** How long the writer is watched before the purge begins. */
  readonly leadMs: number
  readonly limitMs: number
  /** Writes a second; absent: the engine's usual load. */
  readonly perSecond?: number
  /** Of the purge, where it is another than usual. */
  readonly retentionMs?: number
  /** Whether it is watched who locks everybody out. */
  readonly locks?: boolean
  /** The writer is watched from the purge's begin for at least as long as before it: of a short purge, its percentiles would be of some dozen writes. */
  readonly sameSpan?: boolean
}

/** The first writes on a fresh copy find nothing in any cache. */
const WARM_UP_MS = 500
const WAL_LOOK_MS = 20

export async function beside(
  bench: Bench,
  copy: Copy,
  method: Method,
  { leadMs, limitMs, perSecond, retentionMs, locks = false, sameSpan = false }: Writing,
): Promise<Beside> {
  const { workspace, engine } = bench
  await using purger = await startPurger(workspace, method, copy, limitMs, retentionMs)
  await using writer = startChild(workspace, WRITER)
  await writer.ask({ ask: 'begin', url: copy.url, perSecond: perSecond ?? WRITES_PER_SECOND[engine.name] } satisfies Question)
  await using watch = locks ? startChild(workspace, LOCKS) : undefined
  await watch?.ask({ ask: 'begin', url: copy.url } satisfies LockQuestion)
  const begunMs = sharedMs()
  await setTimeout(WARM_UP_MS + leadMs)
  using wal = engine.name === 'sqlite' ? watchedWal(copy) : NOT_WATCHED
  const trial = await purger.run()
  const untilMs = sameSpan ? Math.max(trial.endedMs, trial.startedMs + leadMs) : trial.endedMs
  await setTimeout(untilMs - sharedMs())
  const spans = (await watch?.ask<LockedSpan[]>({ ask: 'end' } satisfies LockQuestion)) ?? []
  const writes = await writer.ask<Write[]>({ ask: 'end' } satisfies Question)
  return {
    totalMs: totalMs(trial, copy),
    finished: trial.finished,
    undisturbed: latencies(writes, begunMs + WARM_UP_MS, trial.startedMs),
    disturbed: latencies(writes, trial.startedMs, untilMs),
    largestWalBytes: wal.largestBytes,
    lockedMs: longestLockMs(spans),
  }
}

interface WatchedWal extends Disposable {
  readonly largestBytes: number
}

const NOT_WATCHED: WatchedWal = { largestBytes: 0, [Symbol.dispose]: () => {} }

function watchedWal(copy: Copy): WatchedWal {
  let largestBytes = 0
  const look = async (): Promise<void> => {
    largestBytes = Math.max(largestBytes, await copy.walBytes())
  }
  const timer = setInterval(() => void look(), WAL_LOOK_MS)
  return {
    get largestBytes() {
      return largestBytes
    },
    [Symbol.dispose]: () => clearInterval(timer),
  }
}

import type { Write } from '../processes/writer.ts'
import { quantile } from '../statistics.ts'

/** How the gateway's writes fared in a span of time. */
export interface Latencies {
  /** From beginning to end of a write. */
  readonly p50: number
  readonly p99: number
  readonly most: number
  /** Measured from when it was due, so that waiting for a slow write counts too. */
  readonly dueP99: number
  /** Writes that failed with SQLITE_BUSY. */
  readonly busy: number
}

/** Of the writes that overlap the span; if none does, of the first write after it. */
export function latencies(writes: readonly Write[], fromMs: number, toMs: number): Latencies {
  const reached = writes.filter((write) => write.endedMs >= fromMs)
  const overlapping = reached.filter((write) => write.startedMs <= toMs)
  const met = overlapping.length > 0 ? overlapping : reached.slice(0, 1)
  const due = writes.filter((write) => write.dueMs >= fromMs && write.dueMs <= toMs)
  const service = met.map((write) => write.endedMs - write.startedMs)
  return {
    p50: quantile(service, 0.5),
    p99: quantile(service, 0.99),
    most: Math.max(...service),
    dueP99: quantile(
      (due.length > 0 ? due : met).map((write) => write.endedMs - write.dueMs),
      0.99,
    ),
    busy: met.filter((write) => write.busy).length,
  }
}

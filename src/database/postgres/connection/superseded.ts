import { MINUTE, SECOND } from '../../../time/clock.ts'
import type { Connected, Target } from './attempt.ts'
import { connectPatiently } from './connect.ts'

/** Longer than statements take as a rule. */
const LOOK_EVERY_MS = 5 * SECOND
/** Of statements that take their time, such as an index build. */
const LOOK_SELDOM_MS = MINUTE / 2
const SELDOM_AFTER_MS = MINUTE

/**
 * A machine that vanishes says no goodbye: the connection to it stays open, and a statement waits for an answer until its time is up. So while one waits, a second
 * connection looks which server takes the writes. Resolves to true once that is another one, or the same after a restart, and to false when the signal aborts.
 */
export async function isSuperseded(target: Target, { facts }: Connected, signal: AbortSignal): Promise<boolean> {
  const { clock } = target
  const sinceMs = clock.monotonicMs()
  for (;;) {
    await clock.sleep(clock.monotonicMs() - sinceMs < SELDOM_AFTER_MS ? LOOK_EVERY_MS : LOOK_SELDOM_MS, signal)
    if (signal.aborted) return false
    const other = await connectPatiently(target, { timeoutMs: 0, signal, giveUpOnRefusal: true }).catch(() => undefined)
    other?.driver.destroy()
    if (signal.aborted) return false
    if (other !== undefined && other.facts.startedAt !== facts.startedAt) return true
  }
}

/** Of servers that are only read, or tried in any order, there may be several, and a pooler has its own connections. */
export function mayBeSuperseded({ writes, url }: Target, { driver, facts }: Connected): boolean {
  return writes && !url.shuffled && driver.processId() === facts.pid
}

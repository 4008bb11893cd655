import { SECOND } from './clock.ts'

/** Whether to report a wait: true the first time, and then after every ten seconds of waiting. */
export function everyTenSeconds(): (waitedMs: number) => boolean {
  let nextMs = 0
  return (waitedMs) => {
    if (waitedMs < nextMs) return false
    nextMs = waitedMs + 10 * SECOND
    return true
  }
}

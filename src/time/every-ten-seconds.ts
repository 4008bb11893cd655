import { SECOND } from './clock.ts'

/** While something is waited for, whether to speak of it: true at once, and then every ten seconds of waiting. */
export function everyTenSeconds(): (waitedMs: number) => boolean {
  let nextMs = 0
  return (waitedMs) => {
    if (waitedMs < nextMs) return false
    nextMs = waitedMs + 10 * SECOND
    return true
  }
}

import { existsSync, globSync } from 'node:fs'
import type { Arena } from './arena.ts'

/** Where Debian's package `faketime` puts it; `undefined`: it is not installed. */
export function fakeTimeLibrary(): string | undefined {
  return [...globSync('/usr/lib/*/faketime/libfaketime.so.1'), '/usr/lib/faketime/libfaketime.so.1'].find((path) => existsSync(path))
}

/** The real command in a process that is told another time. Durations go by as they do. */
export async function runUnderFakeTime(arena: Arena, library: string, shiftMs: number): Promise<number | null> {
  const seconds = shiftMs / 1_000
  const env = {
    LD_PRELOAD: library,
    FAKETIME: `${seconds < 0 ? '' : '+'}${seconds}`,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
  }
  const { code } = await arena.run(['--run-now'], { env })
  return code
}

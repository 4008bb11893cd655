import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Ended } from '../support/command.ts'

/** The memory of the documented container for an archive. */
const CONTAINER_MB = 256

/** Node options as in the image; the program also prints its peak memory when it exits. */
export const TELLS_MEMORY = `--max-semi-space-size=1 --import ${encodeURI(
  `data:text/javascript,import{readFileSync}from"node:fs";process.on("exit",()=>process._rawDebug(/VmHWM:.*/.exec(readFileSync("/proc/self/status","utf8"))[0]))`,
).replaceAll('"', '%22')}`

/** For `skip`. */
export const UNTOLD = process.platform === 'linux' ? false : 'peak memory is read from /proc'

/** The most that a process took that was started with `TELLS_MEMORY`, from its standard error. */
export function megabytesIn(stderr: string): number {
  const peaks = [...stderr.matchAll(/VmHWM:\s+(\d+)/g)].map((match) => Number(match[1]) / 1_024)
  assert.ok(peaks.length > 0, stderr)
  return Math.max(...peaks)
}

/** Fails if such a process took more than the documented container has. */
export function fitsContainer(words: readonly string[], { stderr }: Ended, context: TestContext): void {
  const megabytes = megabytesIn(stderr)
  context.diagnostic(`${words.join(' ')}: ${Math.round(megabytes)} MB`)
  assert.ok(megabytes < CONTAINER_MB, `${words.join(' ')}: ${megabytes} MB`)
}

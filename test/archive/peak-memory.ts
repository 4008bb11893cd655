import assert from 'node:assert/strict'

/**
 * For `NODE_OPTIONS`: the program prints its peak memory when it exits. Linux counts what a process had before it began with its program, which is its
 * parent's, in what `getrusage` says, and not in VmHWM.
 */
export const TELLS_MEMORY = `--import ${encodeURI(
  `data:text/javascript,import{readFileSync}from"node:fs";process.on("exit",()=>process._rawDebug("peak="+(process.platform==="linux"?/VmHWM:\\s+(\\d+)/.exec(readFileSync("/proc/self/status","utf8"))[1]:process.resourceUsage().maxRSS)))`,
).replaceAll('"', '%22')}`

/** From standard error. */
export function megabytesIn(stderr: string): number {
  const peaks = [...stderr.matchAll(/peak=(\d+)/g)].map((match) => Number(match[1]) / 1_024)
  assert.ok(peaks.length > 0, stderr)
  return Math.max(...peaks)
}

import { cpus, loadavg, platform, release, totalmem } from 'node:os'

/** What the figures depend on. */
export interface Machine {
  readonly cores: number
  readonly processor: string
  readonly memoryGB: number
  readonly kernel: string
  readonly node: string
  /** The load in the minute before the run: other work on the machine is part of every figure. */
  readonly loadBefore: number
}

export function machine(): Machine {
  return {
    cores: cpus().length,
    processor: cpus()[0]?.model ?? 'unknown',
    memoryGB: Math.round(totalmem() / 2 ** 30),
    kernel: `${platform()} ${release()}`,
    node: process.version,
    loadBefore: Math.round(loadavg()[0]! * 100) / 100,
  }
}

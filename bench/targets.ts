import type { EngineName } from './engines/engine.ts'

/** What a figure should not exceed: the median of its repeats, or every one of them. */
export interface Target {
  readonly atMost: number
  readonly of: 'median' | 'every repeat'
}

/** Unless stated otherwise, they hold for a quarter of a million expired rows out of a million. */
export const TARGETS = {
  sqlite: {
    'alone.time': median(1.2),
    'alone.hold': median(150),
    'gateway.p99': median(20),
    'gateway.time': median(5),
    'gateway-lean.p99': median(20),
    'gateway-lean.time': median(3),
    'gateway.wal': median(40),
    'rollback.p99': median(40),
    'rollback.busy': always(0),
    'growth.batch': median(1.5),
    'nothing.time': median(1.2),
    'memory.peak': median(1.1),
    'archive.time': median(1.8),
    'archive.memory': median(1.15),
    'held.night': median(2),
    'health.p99': median(60),
    'page.p99': median(20),
    'process.start': median(1.6),
    'process.idle': median(1.35),
  },
  postgres: {
    'alone.time': median(1.15),
    'alone.hold': median(50),
    'alone.wal': median(1.05),
    'gateway.p99': median(2.5),
    'gateway.time': median(4),
    'gateway-busy.p99': median(2.5),
    'gateway-busy.time': median(4),
    'gateway-slow-disk.p99': median(2.5),
    'gateway-slow-disk.time': median(4),
    'growth.batch': median(1.2),
    'nothing.time': median(1.2),
    'memory.peak': median(1.1),
    'archive.time': median(5),
    'archive.memory': median(1.15),
    'held.night': median(2),
    'health.p99': median(60),
    'page.p99': median(20),
    'conversion.errors': always(0),
    'conversion.start-lock': always(100),
    'conversion.start-worst': always(150),
    'conversion.undo-lock': always(100),
    'conversion.undo-worst': always(150),
    'partitions.time': median(0.35),
    'partitions.lock': median(50),
    'partitions.wal': median(0.01),
    'partitions.p99': median(1),
  },
} as const satisfies Record<EngineName, Readonly<Record<string, Target>>>

export function targetOf(engine: EngineName, name: string): Target | undefined {
  const targets: Readonly<Record<string, Target>> = TARGETS[engine]
  return targets[name]
}

function median(atMost: number): Target {
  return { atMost, of: 'median' }
}

function always(atMost: number): Target {
  return { atMost, of: 'every repeat' }
}

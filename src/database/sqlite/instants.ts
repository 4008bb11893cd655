import { SECOND, type EpochMs } from '../../time.ts'
import { wallInstant } from '../wall-clock.ts'
import { EPOCH_UNITS, readText } from './times.ts'

/** NaN: it is no time. */
export function instantOf(timeZone: string): (value: unknown) => EpochMs {
  const instantAt = wallInstant(timeZone)
  return (value) => {
    if (typeof value === 'string') {
      const time = readText(value)
      if (time === undefined) return NaN
      return time.zoned ? time.instant : instantAt(time.instant)
    }
    if (typeof value !== 'number' && typeof value !== 'bigint') return NaN
    const unit = EPOCH_UNITS.find(({ from, below }) => value >= from && value < below)
    return unit === undefined ? NaN : Math.floor((Number(value) * SECOND) / Number(unit.at(SECOND)))
  }
}

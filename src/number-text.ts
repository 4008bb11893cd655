/** `1,234,567` */
export function countText(count: number): string {
  return count.toLocaleString('en-US')
}

/** `1 file`, `1,234 files` */
export function counted(count: number, one: string, many?: string): string {
  return `${countText(count)} ${plural(count, one, many)}`
}

/** The word alone. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return count === 1 ? one : many
}

/** `1,234`, or `~1,200,000` of what was not counted. */
export function estimateText(rows: number, exact: boolean): string {
  if (exact) return countText(rows)
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(rows, 1))) - 1)
  return `~${countText(Math.round(rows / step) * step)}`
}

/** `512 bytes`, `12.3 MB`. */
export function sizeText(bytes: number): string {
  if (bytes < 1_000) return `${bytes} bytes`
  const power = Math.min(Math.floor(Math.log10(bytes) / 3), SIZE_NAMES.length - 1)
  const value = bytes / 1_000 ** power
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${SIZE_NAMES[power]}`
}

const SIZE_NAMES = ['bytes', 'kB', 'MB', 'GB', 'TB']

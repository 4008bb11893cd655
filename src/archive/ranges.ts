/** Which of the pending rows are deleted, as text: `0-499,501`. Rows are deleted nearly in the order of the file, so it stays short. */
export function readRanges(text: string | null, rows: number): Uint8Array {
  const set = new Uint8Array(rows)
  for (const range of text === null || text === '' ? [] : text.split(',')) {
    const [from, to = from] = range.split('-').map(Number)
    set.fill(1, from, to! + 1)
  }
  return set
}

export function rangesText(set: Uint8Array): string {
  const ranges: string[] = []
  for (let from = set.indexOf(1); from !== -1;) {
    const end = set.indexOf(0, from)
    const to = (end === -1 ? set.length : end) - 1
    ranges.push(from === to ? String(from) : `${from}-${to}`)
    from = set.indexOf(1, to + 1)
  }
  return ranges.join(',')
}

export function countOf(set: Uint8Array): number {
  let count = 0
  for (const each of set) count += each
  return count
}

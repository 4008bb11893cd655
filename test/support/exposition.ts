/** The samples of a text in Prometheus' format, by series. */
export function samplesOf(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n').filter((line) => /^\w/.test(line))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]))
}

/** The sum over every series of a metric whose labels hold `fits`. */
export function total(samples: ReadonlyMap<string, number>, name: string, fits = ''): number {
  return [...samples]
    .filter(([series]) => series.startsWith(`${name}{`) && series.includes(fits))
    .reduce((sum, [, value]) => sum + value, 0)
}

/** What two recordings of the same program have in common, in words: times, numbers, and bars drawn from numbers, become signs. */
export function wordsOf(lines: readonly string[]): readonly string[] {
  return lines
    .join('\n')
    .replaceAll(/\d{4}-\d\d-\d\d(?: \d\d:\d\d)?/g, 'TIME')
    .replaceAll(/ {2}[\d.]+k?\/s$/gm, '')
    .replaceAll(/just now|[\d.]+ (?:ms|s|min|h|d)(?: \d+ (?:s|min|h))? ago/g, 'AGO')
    .replaceAll(/[\d.]+ (?:ms|s|min|h|d)(?: \d+ (?:s|min|h))?\b/g, 'DURATION')
    .replaceAll(/[\d.]+ (?:bytes|kB|MB|GB)\b/g, 'SIZE')
    .replaceAll(/~?\d[\d,.]*/g, 'NUMBER')
    .replaceAll(/([▇█─])\1+/g, '$1')
    .split(/\s+/)
}

export function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}

/** SQLite folds the case of ASCII letters in names, and of nothing else. */
export function folded(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

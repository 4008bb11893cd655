import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { html } from '../../../src/http/page/html.ts'

test('text is escaped, wherever it stands', () => {
  const text = `<b a="1" b='2'>&amp;</b>`
  const escaped = '&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;amp;&lt;/b&gt;'
  assert.equal(html`<p title="${text}">${text}</p>`.text, `<p title="${escaped}">${escaped}</p>`)
  assert.equal(html`<p>${[text, [text]]}</p>`.text, `<p>${escaped}${escaped}</p>`)
})

test('pieces are taken as they are, lists are joined, nothing is nothing, and of the lay-out of our source line breaks are left', () => {
  const list = html`<ul>
    ${['a', 'b\n   c'].map((each) => html`<li>${each}</li>`)}${undefined}${null}${0}
  </ul>`
  assert.equal(list.text, '<ul>\n<li>a</li><li>b\n   c</li>0\n</ul>')
})

test('whatever the text, nothing in it ends an attribute or begins a tag or a character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const { text: told } = html`${text}`
      assert.doesNotMatch(told, /[\p{Cf}\u2028\u2029]/u)
      // oxlint-disable-next-line no-control-regex -- these are meant
      assert.doesNotMatch(told, /[<>"'\0-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]|&(?!(?:amp|lt|gt|quot|#39);)/)
    }),
  )
})

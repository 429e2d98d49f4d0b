/** The link for viewers, with a button that copies it. */
import { text } from '../text.ts'
import { button, element, setText } from './dom.ts'

const words = text.studio

export function shareRow(): { readonly root: HTMLElement; show(url: string): void } {
  const link = element('a', { id: 'share', class: 'link', target: '_blank', rel: 'noopener' })
  const told = element('span', { class: 'told', role: 'status' })
  const copy = button(words.copy, 'plain', () => {
    // Plain http from another machine has no clipboard either.
    const done = navigator.clipboard?.writeText(link.href) ?? Promise.reject(new Error('no clipboard'))
    done.then(
      () => tell(words.copied),
      () => tell(words.copyFailed),
    )
  })
  let timer: number | undefined
  const tell = (said: string): void => {
    setText(told, said)
    clearTimeout(timer)
    timer = setTimeout(() => setText(told, ''), 4000)
  }
  const root = element(
    'div',
    { class: 'share' },
    element('span', { class: 'name' }, words.share),
    link,
    copy,
    told,
  )
  return {
    root,
    show(url) {
      root.hidden = url === ''
      link.href = url
      setText(link, url)
    },
  }
}

/** The newest small picture of a broadcast, in place of nothing until its first own one is there. */
import { thumbnailPath } from '../net/address.ts'
import { element } from './dom.ts'

export class Poster {
  readonly root = element('img', { class: 'poster', alt: '', fetchpriority: 'low', hidden: true })

  /** Called when what brings the picture is on its way: nothing waits for a poster. */
  load(id: string): void {
    this.root.addEventListener('load', () => {
      this.root.hidden = false
    })
    this.root.src = thumbnailPath(id)
  }

  /** The first picture is there. Idempotent. */
  leave(): void {
    this.root.remove()
  }
}

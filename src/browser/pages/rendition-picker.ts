/** Which size of the picture is watched, where it is there in several: by itself, or as chosen. */
import type { TrackName } from '../../units.ts'
import type { Player, PlayerFigures } from '../player/player.ts'
import type { RenditionWish } from '../player/rendition-choice.ts'
import { text } from '../text.ts'
import { element } from './dom.ts'

const words = text.controls

export class RenditionPicker {
  readonly root = element('select', { class: 'choice', 'aria-label': words.size, hidden: true })
  #drawn = ''

  constructor(player: Player) {
    this.root.addEventListener('change', () => player.setRendition(this.root.value as RenditionWish))
  }

  /** To be called a few times a second. */
  refresh({ renditions }: PlayerFigures): void {
    this.root.hidden = renditions === undefined
    if (renditions === undefined) return
    const heights = new Map<TrackName, number>(renditions.all.map(({ name, height }) => [name, height]))
    const options = [
      { value: 'auto', label: words.automatic(heights.get(renditions.active) ?? 0) },
      ...renditions.all.map(({ name, height }) => ({ value: name as string, label: words.lines(height) })),
    ]
    const drawn = JSON.stringify(options)
    if (drawn !== this.#drawn) {
      this.#drawn = drawn
      this.root.replaceChildren(...options.map(({ value, label }) => element('option', { value }, label)))
      this.root.value = renditions.wish
    }
    if (this.root.value !== renditions.wish && document.activeElement !== this.root)
      this.root.value = renditions.wish
  }
}

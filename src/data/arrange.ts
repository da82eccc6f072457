/** @file From paths of image files to classes and parts: `train/cat/1.jpg`, or `cat/1.jpg` where there are no parts. */
import { IMAGE_FILE } from './decode.js';
import { DataError } from './errors.js';

/** A part as the data itself names it; `all` where it names none. */
export type PartName = 'train' | 'val' | 'test' | 'all';

const partNames: Readonly<Record<string, PartName>> = {
  train: 'train',
  training: 'train',
  val: 'val',
  valid: 'val',
  validation: 'val',
  test: 'test',
  testing: 'test',
};

/** One image file that will be read. */
export interface ArrangedImage {
  /** Position in the list of names that was given. */
  readonly entry: number;
  readonly part: PartName;
  readonly label: number;
}

export interface Arrangement {
  /** Sorted by name in byte order, as torchvision's ImageFolder does. */
  readonly classes: readonly string[];
  readonly images: readonly ArrangedImage[];
  readonly notes: readonly string[];
}

/**
 * Works out parts and classes from the names of all files. Folders that wrap everything are skipped. A top folder called
 * train, val(idation) or test is a part when class folders lie in it; else it is a class. Throws DataError where there
 * are no images in class folders, or only one class.
 */
export function arrangeImages(names: readonly string[], source: string): Arrangement {
  const images: { entry: number; parts: string[] }[] = [];
  let others = 0;
  names.forEach((name, entry) => {
    if (IMAGE_FILE.test(name))
      images.push({ entry, parts: name.split('/').filter((part) => part !== '' && part !== '.') });
    else others++;
  });
  if (images.length === 0)
    throw new DataError('empty', `${source} holds no images`, {
      hint: 'Give images in one folder per class (jpg, png, webp, gif, tiff, avif), IDX files or CIFAR binary batches.',
    });
  while (
    images.every(
      ({ parts }) => parts.length > 2 && parts[0] === images[0]!.parts[0] && !(parts[0]!.toLowerCase() in partNames),
    )
  )
    for (const image of images) image.parts.shift();

  const isPart = (image: { parts: string[] }): boolean =>
    image.parts.length >= 3 && image.parts[0]!.toLowerCase() in partNames;
  const parted = images.some(isPart);
  const used = images.filter((image) => (parted ? isPart(image) : image.parts.length >= 2));
  if (used.length === 0)
    throw new DataError('no-classes', `${source} holds ${images.length} images, but not in one folder per class`, {
      hint: 'Put each class into a folder of its own, e.g. cat/1.jpg, or train/cat/1.jpg and test/cat/2.jpg.',
    });
  const classOf = (parts: readonly string[]): string => parts[parted ? 1 : 0]!;
  const classes = [...new Set(used.map(({ parts }) => classOf(parts)))].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  if (classes.length < 2)
    throw new DataError('one-class', `${source} holds only one class, '${classes[0]}'`, {
      hint: 'A classifier needs images of two classes or more, each in a folder of its own.',
    });
  // An archive holds its files in any order; by name, the same files always make the same data set.
  used.sort((a, b) => (names[a.entry]! < names[b.entry]! ? -1 : 1));
  const label = new Map(classes.map((name, index) => [name, index]));
  const notes: string[] = [];
  if (others > 0) notes.push(`${others} ${others === 1 ? 'file is' : 'files are'} no image and left out`);
  if (used.length < images.length)
    notes.push(
      `${images.length - used.length} images lie outside the ${parted ? 'train, val and test' : 'class'} folders and are left out`,
    );
  return {
    classes,
    images: used.map(({ entry, parts }) => ({
      entry,
      part: parted ? partNames[parts[0]!.toLowerCase()]! : 'all',
      label: label.get(classOf(parts))!,
    })),
    notes,
  };
}

// Processing of a CSV text before it is divided into rows: the text encoding, and runs of spaces between
// cells.

/// The special characters of a table: the delimiter, and those of its numbers.
struct CSVDialect: Sendable, Equatable {
  /// The byte between two cells. A table with runs of spaces between cells is converted to one with tabs.
  var delimiter: UInt8
  /// Whether runs of spaces and tabs separate cells.
  var hasRuns: Bool
  var numbers: NumberFormat

  /// The name of the delimiter in messages.
  var delimiterName: String {
    hasRuns
      ? "spaces" : delimiter == UInt8(ascii: "\t") ? "tabs" : "\"\(Character(UnicodeScalar(delimiter)))\""
  }

  /// Creates the dialect of the options; whatever they leave open is detected from the beginning of the text.
  init(_ options: CSVOptions, of head: ArraySlice<UInt8>) throws(ChainruleError) {
    numbers = try NumberFormat(decimal: options.decimal, thousands: options.thousands)
    hasRuns = false
    guard let character = options.delimiter else {
      delimiter = UInt8(ascii: ",")
      // A decimal comma is a candidate only if nothing else fits: in quotes it is harmless.
      let candidates = Self.candidates.filter { $0.byte != numbers.decimal }
      for candidate in candidates where Self.fits(candidate, head) {
        (delimiter, hasRuns) = (candidate.byte, candidate.hasRuns)
        break
      }
      return
    }
    guard let byte = character.asciiValue, !"\"\r\n+-.0123456789eE".utf8.contains(byte), byte != 0 else {
      throw .invalidValue(
        name: "the delimiter", value: "\"\(character)\"",
        expected: "one ASCII character that is not part of a number, such as , or ;")
    }
    hasRuns = byte == UInt8(ascii: " ")
    delimiter = hasRuns ? UInt8(ascii: "\t") : byte
  }

  private typealias Candidate = (byte: UInt8, hasRuns: Bool)

  /// The comma is late in the list, because decimal commas can be as regular as the delimiter. Spaces are
  /// last, because names and times contain them.
  private static let candidates: [Candidate] =
    "\t;|,".utf8.map { ($0, false) } + [(UInt8(ascii: "\t"), true)]

  /// Whether the candidate gives the first lines, up to 100, the same number of cells, at least two. An empty
  /// cell at the end of a line may be a cell, or result from a delimiter after the last cell.
  private static func fits(_ candidate: Candidate, _ head: ArraySlice<UInt8>) -> Bool {
    let quote = UInt8(ascii: "\""), (lineFeed, carriageReturn) = (UInt8(ascii: "\n"), UInt8(ascii: "\r"))
    let text = candidate.hasRuns ? joiningRuns(in: Array(head))[...] : head
    var (lines, cells) = (0, 1)
    // The numbers of cells that fit every line so far: one number, or two consecutive ones.
    var (fewest, most) = (0, 0)
    var (isQuoted, isBlank, atStart, endsEmpty) = (false, true, true, false)
    for byte in text {
      if byte == quote, atStart || isQuoted {
        isQuoted.toggle()
        // A second quote immediately after is a quote in the cell.
        (isBlank, atStart, endsEmpty) = (false, true, false)
        continue
      }
      if isQuoted { continue }
      atStart = false
      if byte == candidate.byte {
        cells += 1
        (isBlank, atStart, endsEmpty) = (false, true, true)
      } else if byte == lineFeed || byte == carriageReturn {
        atStart = true
        if isBlank {
          cells = 1
          continue
        }
        let low = endsEmpty ? cells - 1 : cells
        (fewest, most) = lines == 0 ? (low, cells) : (max(fewest, low), min(most, cells))
        if fewest > most { return false }
        (lines, cells, isBlank, endsEmpty) = (lines + 1, 1, true, false)
        if lines == 100 { return most > 1 }
      } else if byte != UInt8(ascii: " ") {
        (isBlank, endsEmpty) = (false, false)
      }
    }
    return (lines == 0 ? cells : most) > 1
  }

  /// Replaces each run of spaces and tabs between cells by one tab, and removes those around a line.
  /// Repeating this changes nothing.
  static func joiningRuns(in bytes: [UInt8]) -> [UInt8] {
    let (space, tab, quote) = (UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\""))
    let (lineFeed, carriageReturn) = (UInt8(ascii: "\n"), UInt8(ascii: "\r"))
    var joined: [UInt8] = []
    joined.reserveCapacity(bytes.count)
    var (isQuoted, atStart) = (false, true)
    for byte in bytes {
      if isQuoted {
        if byte == quote { isQuoted = false }
        joined.append(byte)
      } else if byte == space || byte == tab {
        if !atStart { joined.append(tab) }
        atStart = true
      } else if byte == lineFeed || byte == carriageReturn {
        if joined.last == tab { joined.removeLast() }
        joined.append(byte)
        atStart = true
      } else {
        // A second quote immediately after reopens the cell: it is a quote in the cell.
        isQuoted = byte == quote && (atStart || joined.last == quote)
        joined.append(byte)
        atStart = false
      }
    }
    return joined
  }
}

/// The format of the numbers in a table.
struct NumberFormat: Sendable, Equatable {
  var decimal = UInt8(ascii: ".")
  var thousands: UInt8?

  init() {}

  init(decimal: Character, thousands: Character?) throws(ChainruleError) {
    guard let point = decimal.asciiValue, decimal == "." || decimal == "," else {
      throw .invalidValue(name: "the decimal separator", value: "\"\(decimal)\"", expected: "\".\" or \",\"")
    }
    self.decimal = point
    guard let thousands else { return }
    guard let byte = thousands.asciiValue, ",.' _".utf8.contains(byte), byte != point else {
      throw .invalidValue(
        name: "the thousands separator", value: "\"\(thousands)\"",
        expected: "one of , . ' _ or a space, and another than the decimal separator")
    }
    self.thousands = byte
  }

  /// Whether `decimalNumber` can read the numbers.
  var isPlain: Bool { decimal == UInt8(ascii: ".") && thousands == nil }

  /// Returns the number in `bytes[range]`; `nil` if it is not a number. Groups after a thousands separator
  /// have three digits, and the fraction has no separator.
  func number<Scalar: NetworkScalar>(in bytes: [UInt8], _ range: Range<Int>) -> Scalar? {
    if isPlain { return decimalNumber(in: bytes, range) }
    guard range.count <= 4096 else { return nil }
    var plain: [UInt8] = []
    var (digits, hasGroups, isFraction) = (0, false, false)
    for byte in bytes[range] {
      if !isFraction, let thousands, byte == thousands {
        guard hasGroups ? digits == 3 : 1...3 ~= digits else { return nil }
        (digits, hasGroups) = (0, true)
      } else if byte == decimal, !isFraction {
        if hasGroups, digits != 3 { return nil }
        isFraction = true
        plain.append(UInt8(ascii: "."))
      } else if byte == UInt8(ascii: "."), decimal != byte {
        return nil
      } else {
        if UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte {
          digits += 1
        } else if !isFraction, byte | 0x20 == UInt8(ascii: "e") {
          if hasGroups, digits != 3 { return nil }
          isFraction = true
        }
        plain.append(byte)
      }
    }
    if hasGroups, !isFraction, digits != 3 { return nil }
    return decimalNumber(in: plain, plain.indices)
  }
}

// MARK: - UTF-16

/// Converts UTF-16 with a byte order mark to UTF-8, piece by piece.
struct UTF16Decoder: Sendable {
  private let isBigEndian: Bool
  private var rest: [UInt8] = []

  /// Returns `nil` for a text that does not begin with a byte order mark of UTF-16. The mark stays in the
  /// text.
  init?(beginning bytes: some Collection<UInt8>) {
    if bytes.starts(with: [0xFF, 0xFE]) {
      isBigEndian = false
    } else if bytes.starts(with: [0xFE, 0xFF]) {
      isBigEndian = true
    } else {
      return nil
    }
  }

  /// Returns the next bytes in UTF-8. An incomplete character at their end waits for the next bytes, or
  /// becomes a replacement character if there are none.
  mutating func decode(_ bytes: [UInt8], isLast: Bool) -> [UInt8] {
    let all = rest + bytes
    var units: [UInt16] = []
    units.reserveCapacity(all.count / 2)
    for index in stride(from: 0, to: all.count - 1, by: 2) {
      let (first, second) = (UInt16(all[index]), UInt16(all[index + 1]))
      units.append(isBigEndian ? first << 8 | second : second << 8 | first)
    }
    var taken = units.count * 2
    if !isLast, let last = units.last, UTF16.isLeadSurrogate(last) {
      units.removeLast()
      taken -= 2
    }
    rest = Array(all[taken...])
    var text: [UInt8] = []
    text.reserveCapacity(units.count)
    _ = transcode(units.makeIterator(), from: UTF16.self, to: UTF8.self, stoppingOnError: false) {
      text.append($0)
    }
    if isLast, !rest.isEmpty { text += Array("\u{FFFD}".utf8) }
    return text
  }
}

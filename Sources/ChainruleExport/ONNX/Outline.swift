// A model's file is nearly all numbers of tensors, and a message of swift-protobuf has a copy of them. So it is given an
// outline of the file, in which raw_data are not the numbers but where they are; TensorBytes.swift reads them there.

/// Where the raw_data of a tensor are in a model's file: in an outline, offset and count as 8 bytes each are its raw_data.
struct RawPlace {
  let offset, count: Int

  init(offset: Int, count: Int) { (self.offset, self.count) = (offset, count) }

  /// nil for no bytes.
  init?(inOutline bytes: some Sequence<UInt8>) {
    let bytes = Array(bytes)
    guard bytes.count == 16 else { return nil }
    func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reversed().reduce(0) { $0 << 8 | Int($1) } }
    self.init(offset: number(bytes[..<8]), count: number(bytes[8...]))
  }

  var bytes: [UInt8] {
    [offset, count].flatMap { number in (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }
  }
}

/// Makes the outline of a file.
struct Outline {
  /// The messages on the way to raw_data, by the fields of Generated/onnx.proto.
  private enum Message {
    case model, graph, node, attribute, tensor

    /// The message of that kind in a field.
    func message(inField field: UInt64) -> Message? {
      switch (self, field) {
      case (.model, 7): .graph
      case (.graph, 1): .node
      case (.graph, 5), (.attribute, 5): .tensor
      case (.node, 5): .attribute
      default: nil
      }
    }

    func isRawData(_ field: UInt64) -> Bool { self == .tensor && field == 9 }
  }

  private let file: UnsafeRawBufferPointer
  private(set) var bytes: [UInt8] = []

  /// - Throws: `Unreadable` for what is no series of fields.
  init(of file: UnsafeRawBufferPointer) throws(Unreadable) {
    self.file = file
    try write(.model, 0..<file.count)
  }

  static var noModel: Unreadable { Unreadable("this is no ONNX model, or not all of one") }

  /// Writes the fields of a message (https://protobuf.dev/programming-guides/encoding): a tag, which is the field's number · 8
  /// + the form of its value; for bytes, texts and messages their count; the value.
  private mutating func write(_ message: Message, _ fields: Range<Int>) throws(Unreadable) {
    var place = fields.lowerBound
    while place < fields.upperBound {
      let start = place
      let tag = try number(&place, before: fields.upperBound)
      let (field, afterTag) = (tag >> 3, place)
      var size: UInt64 = 0
      switch tag & 7 {
      case 0: _ = try number(&place, before: fields.upperBound)
      case 1: size = 8
      case 2: size = try number(&place, before: fields.upperBound)
      case 5: size = 4
      default: throw Self.noModel
      }
      guard size <= fields.upperBound - place else { throw Self.noModel }
      let value = place..<place + Int(size)
      place = value.upperBound
      if tag & 7 == 2, let inner = message.message(inField: field) {
        copy(start..<afterTag)
        try writeCounted { outline throws(Unreadable) in try outline.write(inner, value) }
      } else if tag & 7 == 2, message.isRawData(field), !value.isEmpty {
        copy(start..<afterTag)
        try writeCounted { outline in
          outline.bytes += RawPlace(offset: value.lowerBound, count: value.count).bytes
        }
      } else {
        copy(start..<place)
      }
    }
  }

  private mutating func copy(_ range: Range<Int>) {
    bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: file[range]))
  }

  /// Writes the number of the bytes that `body` writes, in the 5 bytes that any below 2³⁵ takes, and then these.
  private mutating func writeCounted(
    _ body: (inout Outline) throws(Unreadable) -> Void
  ) throws(Unreadable) {
    let place = bytes.count
    bytes += [0, 0, 0, 0, 0]
    try body(&self)
    let count = bytes.count - place - 5
    guard count < 1 << 31 else { throw Self.noModel }  // More than any message may have.
    for k in 0..<5 { bytes[place + k] = UInt8(count >> (7 * k) & 127) | (k < 4 ? 128 : 0) }
  }

  /// An integer of 7 bits a byte, the lowest first; all bytes but the last have the highest bit.
  private func number(_ place: inout Int, before end: Int) throws(Unreadable) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard place < end else { throw Self.noModel }
      let byte = file[place]
      place += 1
      value |= UInt64(byte & 127) << shift
      if byte < 128 { return value }
    }
    throw Self.noModel
  }
}

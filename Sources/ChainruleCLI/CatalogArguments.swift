import ArgumentParser
import Chainrule

// The names of the catalogue as values of options, in any case, and as other libraries spell them. An unknown
// name is wrong usage; the error lists the known ones.

/// A value with a name of the catalogue.
protocol NamedArgument: ExpressibleByArgument, CaseIterable, RawRepresentable<String> {}

extension NamedArgument {
  /// The value with the name `argument`; nil for an unknown name.
  public init?(argument: String) {
    guard let name = canonicalName(argument, among: Self.allCases.map(\.rawValue)) else { return nil }
    self.init(rawValue: name)
  }
}

extension Activation: NamedArgument {}
extension Loss: NamedArgument {}
extension Optimizer.Kind: NamedArgument {}
extension ScalarType: NamedArgument {}
extension CSVOptions.LearningTask: NamedArgument {}
extension TrainingRecipe.Normalization: NamedArgument {}

/// The name of a schedule.
struct ScheduleName: ExpressibleByArgument {
  let name: String

  init?(argument: String) {
    guard let name = canonicalName(argument, among: Schedule.names) else { return nil }
    self.name = name
  }

  static var allValueStrings: [String] { Schedule.names }
}

extension Initializer {
  /// "glorotUniform", or with its number "uniform=0.1".
  init(parsing text: String) throws {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard let name = canonicalName(parts[0], among: Self.names) else {
      throw ValidationError("expected one of \(Self.names.joined(separator: ", "))")
    }
    let value = parts.count > 1 ? Double(parts[1]) : 0
    let initializer = try Initializer(named: name, value: value ?? .nan)
    guard let value, value.isFinite, initializer.takesValue == (parts.count > 1) else {
      throw ValidationError(
        initializer.takesValue ? "expected \(name) with a number, as \(name)=0.1" : "\(name) has no number")
    }
    self = initializer
  }
}

/// The widths of the hidden layers, first to last: "64,32", or "none".
struct HiddenLayers: Sendable {
  let widths: [Int]

  init(_ widths: Int...) { self.widths = widths }

  init(parsing text: String) throws {
    widths =
      try text == "none"
      ? []
      : text.split(separator: ",", omittingEmptySubsequences: false).map { part in
        guard let width = Int(part), width >= 1 else {
          throw ValidationError("expected widths of at least 1 separated by commas, such as 64,32, or none")
        }
        return width
      }
  }
}

/// The activations of layers, first to last: "relu,relu,softmax".
struct ActivationList: Sendable {
  let list: [Activation]

  init(parsing text: String) throws {
    list = try text.split(separator: ",", omittingEmptySubsequences: false).map { name in
      guard let activation = Activation(argument: String(name)) else {
        let known = Activation.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("no activation is named \"\(name)\"; there are: \(known)")
      }
      return activation
    }
  }
}

/// A set of defaults for the other options.
enum Preset: String, CaseIterable, ExpressibleByArgument {
  /// The defaults that were best on ten real tables.
  case recommended
  /// One hidden layer on unscaled numbers, for 50 epochs.
  case plain
}

internal import CChainrule

/// The version of Chainrule, such as "0.1.0".
public let chainruleVersion = String(cString: chainrule_version())

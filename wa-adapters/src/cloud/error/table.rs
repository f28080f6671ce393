//! The table of Meta's error codes.
//!
//! Source: Meta, Error codes, read November 2025 and May 2026; Marketing messages, read May 2026;
//! Graph API error reference for 80008. Titles and advice are ours. Where Meta leaves the next step
//! open, a comment says why it was chosen.

use wa_core::model::RejectClass::{
    Account, Billing, Credential, Later, Media, OptedOut, PairThrottled, Recipient, Request, Retry, Spam,
    Template, TemplatePaused, Throttled, WindowClosed,
};

use super::ErrorEntry;

macro_rules! entries {
    ($($first:literal $(..= $last:literal)? => $class:ident, $title:literal, $advice:literal;)*) => {
        &[$(ErrorEntry {
            first: $first,
            last: match [$first $(, $last)?] { [.., last] => last },
            title: $title,
            class: $class,
            // What Meta asks to try again is a fault of its own, which may strike after acceptance.
            strikes_late: matches!($class, Retry),
            advice: $advice,
        }),*]
    };
}

/// In rising order; no ranges overlap.
pub(super) static ERRORS: &[ErrorEntry] = entries! {
    0 => Credential, "login failed",
        "The access token is not valid. Create a new one in Meta Business Settings and enter it here; \
         sending goes on by itself.";
    1 => Retry, "unknown error at Meta",
        "Meta had a fault or could not read the request. If it stays, look at Meta's status page.";
    2 => Retry, "service is down or overloaded",
        "WhatsApp is overloaded or down. Nothing is to be done; watch Meta's status page if it lasts.";
    3 => Credential, "method not allowed for this app",
        "The access token lacks a permission. Give its system user whatsapp_business_messaging and \
         whatsapp_business_management, then create a new token.";
    4 => Throttled, "app's calls for this hour are used up",
        "Your Meta app makes too many calls. Sending slows down by itself; other programs that use the \
         same app count too.";
    10 => Credential, "permission missing",
        "The access token lacks a permission or it was withdrawn. Give the system user access to this \
         WhatsApp account and create a new token.";
    // Every message of the number would fail the same way, so it stops like an account that is stopped.
    33 => Account, "phone number id is wrong or deleted",
        "Meta does not know this phone number id. Compare it with WhatsApp Manager, and check that the \
         token belongs to the same business.";
    100 => Request, "invalid parameter",
        "The message holds something that WhatsApp does not take. Check the phone number id and the \
         template's parameters.";
    190 => Credential, "access token expired",
        "The access token has expired or was withdrawn. Create a new one for a system user, best one that \
         never expires; sending goes on by itself.";
    200..=299 => Credential, "permission missing",
        "The access token may not do this. Give its system user access to the app and to this WhatsApp \
         account, then create a new token.";
    368 => Account, "temporarily blocked for a breach of policy",
        "Meta has blocked this account for a while. Open WhatsApp Manager, read which policy was \
         breached, and ask for a review.";
    80_007 => Throttled, "account's rate limit reached",
        "The WhatsApp account sends too much at once. Sending slows down by itself.";
    80_008 => Throttled, "too many management calls",
        "Templates and numbers of this account are asked about too often. It passes within the hour; ask \
         less often.";
    130_403 => Recipient, "you have blocked this user",
        "You blocked this person in WhatsApp. Unblock them first if they should get messages again.";
    130_429 => Throttled, "number's throughput reached",
        "The number sends faster than it may. Sending slows down by itself; lower the rate if other \
         programs use the same number.";
    130_472 => Recipient, "recipient is part of an experiment at Meta",
        "Meta does not deliver marketing to this person for the time of an experiment. Do not send it \
         again; reach them another way if it matters.";
    // About the recipient's country: the others of a campaign can go on.
    130_497 => Recipient, "business may not message this country",
        "Your kind of business may not write to people in this country. Take them off the list.";
    131_000 => Retry, "something went wrong at Meta",
        "Meta had a fault of its own. If it stays, look at Meta's status page and open a ticket there.";
    131_005 => Credential, "access denied",
        "A permission is missing or was withdrawn. Check the system user's access to this WhatsApp \
         account and create a new token.";
    131_008 => Request, "required parameter missing",
        "A part of the message is missing. Check that each placeholder of the template has a value.";
    131_009 => Request, "parameter value not valid",
        "A value of the message has a wrong form. Check phone number, links and template parameters.";
    131_016 => Retry, "service unavailable for now",
        "A part of WhatsApp is down for the moment. Watch Meta's status page if it lasts.";
    131_020 => Request, "group has a single member",
        "The group has nobody but you. Invite someone first.";
    131_021 => Request, "recipient is the sender",
        "The message goes to the number that sends it. Take your own number off the list.";
    131_026 => Recipient, "message undeliverable",
        "The person has no WhatsApp, has not accepted its new terms, or uses an old version. Check the \
         number, and reach them another way.";
    131_030 => Request, "recipient not on the test number's list",
        "A test number may only write to numbers that you entered. Add this one in the app dashboard, or \
         use a real number.";
    131_031 => Account, "account locked",
        "Meta has locked the account, or the two-step PIN does not match. Open WhatsApp Manager and \
         follow what it asks for.";
    131_037 => Account, "display name not approved",
        "The number needs an approved display name before it can send. Ask for it in WhatsApp Manager.";
    131_041 => Request, "group not known",
        "WhatsApp does not know this group. Check its id.";
    131_042 => Billing, "payment method has a problem",
        "Meta cannot charge you. Check payment method and credit line of the WhatsApp account in Meta \
         Business Settings.";
    // Final for this message, whose time has run out.
    131_043 => Recipient, "message expired before delivery",
        "The person's phone was not reachable for as long as the message was valid. Send a new message if \
         it still matters.";
    131_044 => Billing, "payment method has a problem, calls",
        "Meta cannot charge you for calls. Check the payment method of the WhatsApp account.";
    131_045 => Account, "number not registered, or certificate wrong",
        "The number is not registered for the Cloud API. Register it in WhatsApp Manager with its PIN.";
    131_047 => WindowClosed, "24-hour window closed",
        "More than 24 hours have passed since the person last wrote. Use an approved template, or wait \
         until they write.";
    131_048 => Spam, "spam limit reached",
        "Too many people blocked or reported this number. Sending pauses; send less, to people who expect \
         it, and watch the quality in WhatsApp Manager.";
    131_049 => Later, "Meta chose not to deliver",
        "WhatsApp limits how much marketing each person gets from all businesses together. Try again \
         after a day at the earliest; repeating it sooner harms your account.";
    131_050 => OptedOut, "recipient stopped marketing",
        "The person does not want marketing from you. They are marked as opted out and get none any more.";
    131_051 => Request, "message type not supported",
        "WhatsApp does not support this type of message here. Use another type.";
    131_052 => Media, "incoming file cannot be downloaded",
        "The file that the person sent is too large or gone. Ask them to send it again.";
    131_053 => Media, "file cannot be uploaded",
        "WhatsApp does not take this file. Check that its link is public, and its type and size: images \
         up to 5 MB, video and audio 16 MB, documents 100 MB.";
    131_055 => Request, "only marketing templates here",
        "This way of sending takes marketing templates only. Send the message the normal way.";
    131_056 => PairThrottled, "too many messages to this person",
        "This person got many messages in a short time. The next one waits a little by itself.";
    131_057 => Retry, "account in maintenance",
        "Meta is changing this number, usually to raise its speed. It takes a minute.";
    131_059 => Request, "page cursor not valid",
        "A list was asked for with a wrong position. Start the list from its beginning.";
    131_061 => Request, "template with a maximum price sent the normal way",
        "This template has a maximum price and must go through Meta's marketing messages. Remove the \
         maximum price, or use another template.";
    131_062 => Request, "user id not possible for this message",
        "This message needs the person's phone number. One-time codes cannot go to a user who hides it.";
    131_063 => Request, "marketing is switched off for the Cloud API",
        "Your WhatsApp account is set to send marketing another way. Change that in WhatsApp Manager, or \
         do not send marketing from here.";
    // Lifts by itself, so the session pauses instead of waiting for an operator.
    131_064 => Spam, "limited because of wrongly classed templates",
        "Meta has limited the account because templates were in a wrong category. It lifts by itself; \
         correct the categories of your templates.";
    131_201..=131_207 => Request, "group problem",
        "Something about the group does not fit. Check that it exists and that you may write to it.";
    131_208 => Throttled, "too many group actions",
        "Groups are changed or written to too fast. It slows down by itself.";
    131_209..=131_215 => Request, "group problem",
        "Something about the group does not fit. Check that it exists and that you may write to it.";
    132_000 => Template, "number of template parameters differs",
        "The template has another number of placeholders than you filled. Compare it with the template in \
         WhatsApp Manager.";
    132_001 => Template, "template not found in this language",
        "There is no approved template with this name and language. Check both, letter by letter, and \
         that it is approved.";
    132_005 => Request, "text too long after filling",
        "With its values filled in the text is too long. Use shorter values.";
    132_007 => Template, "template breaks the content policy",
        "WhatsApp refuses what the template says. Read the reason in WhatsApp Manager and write another \
         one.";
    132_008 => Template, "template parameter has a wrong format",
        "A value does not fit its placeholder. Compare it with the template in WhatsApp Manager.";
    132_012 => Template, "template parameter has a wrong format",
        "A value does not fit its placeholder: text where a number, date or file belongs, or the other \
         way round. Compare it with the template.";
    132_015 => TemplatePaused, "template paused",
        "Too many people disliked this template, so WhatsApp paused it. Messages wait; improve the \
         template or use another one.";
    132_016 => Template, "template disabled",
        "WhatsApp has disabled this template for good. Make a new one with another content.";
    132_018 => Template, "template parameters not valid",
        "The values do not fit the template. Compare them with the template in WhatsApp Manager.";
    132_068 => Template, "flow blocked",
        "The flow of this template is blocked. Open it in WhatsApp Manager and correct it.";
    // Holds this template back, not the number: ten an hour would stop everything else too.
    132_069 => TemplatePaused, "flow slowed down",
        "The flow of this template has faults, so WhatsApp lets only ten messages an hour through. \
         Correct the flow in WhatsApp Manager.";
    133_000 => Account, "earlier deregistration incomplete",
        "The number was not removed completely before. Deregister it again, then register it.";
    133_001..=133_003 => Account, "registration: backup cannot be read",
        "The number could not be moved with its backup. Register it without a backup.";
    133_004 => Retry, "registration server unavailable",
        "Meta's registration is down for the moment. Watch its status page if it lasts.";
    133_005 => Account, "two-step PIN wrong",
        "The PIN of the number is wrong. Reset it in WhatsApp Manager under two-step verification.";
    133_006 => Account, "number not verified",
        "The number must be verified first. Ask for a code by SMS or call in WhatsApp Manager.";
    133_007 => Account, "number blocked",
        "WhatsApp has blocked this number. Open WhatsApp Manager and ask for a review.";
    133_008 => Account, "too many wrong PINs",
        "The PIN was wrong too often. Wait for the time that WhatsApp Manager shows.";
    133_009 => Account, "PIN entered too fast",
        "The PIN was entered too fast. Wait a while before the next try.";
    133_010 => Account, "number not registered",
        "The number is not registered for the Cloud API. Register it in WhatsApp Manager.";
    133_015 => Account, "number was just deleted",
        "The number was deleted a moment ago. Wait five minutes, then register it.";
    133_016 => Account, "too many registrations",
        "The number was registered and removed too often. It is locked for 72 hours.";
    134_011 => Billing, "terms of payments not accepted",
        "Someone must accept the terms of WhatsApp payments. Do it in Meta Business Settings.";
    134_100 => Request, "not a marketing template",
        "This way of sending takes marketing templates only. Send the template the normal way.";
    134_101 => Retry, "template not ready yet",
        "The template is new and not ready everywhere. It takes up to ten minutes.";
    134_102 => Template, "template not fit for marketing messages",
        "This template or account cannot use Meta's marketing messages. Send it the normal way.";
    135_000 => Request, "unspecified fault in the request",
        "WhatsApp could not process the message, usually because of its parameters. Check the values of \
         the template.";
    136_024 => Account, "number already verified",
        "The number is verified already; no code is needed. Go on with its registration.";
    136_025 => Account, "verification code failed",
        "The code could not be sent or is wrong. Ask for a new one, by call instead of SMS.";
    137_000 => Recipient, "recipient's identity has changed",
        "The person has a new phone or reinstalled WhatsApp. Confirm that it is still them before you \
         write again.";
    138_000..=138_999 => Request, "calls",
        "This is about calls, which this library does not make. See the calling settings in WhatsApp \
         Manager.";
    139_000..=139_004 => Request, "flows",
        "Something about the flow does not fit. Check it in WhatsApp Manager.";
    139_100..=139_103 => Request, "list of blocked users",
        "The list of blocked users could not be changed. It holds at most 64,000 people, and only some \
         who wrote lately can be added.";
    200_005..=200_007 => Request, "template statistics not available",
        "Statistics of templates are not on for this account. Switch them on in WhatsApp Manager; they \
         cannot be switched off again.";
    1_752_041 => Request, "client was invited already",
        "This client has an invitation from you already. Let them accept it.";
    2_388_001 => Account, "number cannot be moved",
        "The number cannot be moved to this account now. Check that two-step verification is off and the \
         number belongs to you.";
    2_388_012 => Account, "number cannot be moved",
        "The number cannot be moved to this account now. Check that it is registered elsewhere and may be \
         moved.";
    2_388_019 => Template, "too many templates",
        "The account has as many templates as it may. Delete some that you do not use.";
    2_388_039 => Template, "template part too long",
        "A part of the new template is too long or has a wrong form. Shorten it.";
    2_388_040 => Template, "template field too long",
        "A field of the new template has too many characters. Shorten it.";
    2_388_047 => Template, "template header has a wrong format",
        "The header of the new template does not follow the rules. Remove line breaks, emoji and \
         asterisks from it.";
    2_388_072 => Template, "template body has a wrong format",
        "The text of the new template does not follow the rules. Check its placeholders and line breaks.";
    2_388_073 => Template, "template footer has a wrong format",
        "The footer of the new template does not follow the rules. Remove placeholders from it.";
    2_388_077 => Request, "wrong mix of statistics asked for",
        "These statistics cannot be asked for together. Ask for them one by one.";
    2_388_091 => Account, "number cannot be moved",
        "The number cannot be moved to this account now. Check its state in WhatsApp Manager.";
    2_388_093 => Account, "number cannot be moved",
        "The number cannot be moved to this account now. Check its state in WhatsApp Manager.";
    2_388_103 => Account, "number cannot be moved",
        "The number cannot be moved to this account now. Check both accounts in WhatsApp Manager.";
    2_388_293 => Template, "too many placeholders for the text",
        "The new template has too many placeholders for so little text. Write more text, or use fewer \
         placeholders.";
    2_388_299 => Template, "placeholder at the start or end",
        "The text of the new template starts or ends with a placeholder. Put words around it.";
    2_494_100 => Retry, "number in maintenance",
        "Meta is working on this number. It takes a few minutes.";
    2_593_079 => Request, "account cannot be transferred",
        "The WhatsApp account cannot be handed over now. Ask your solution provider.";
    2_593_085 => Request, "account cannot be transferred",
        "The WhatsApp account cannot be handed over now. Ask your solution provider.";
    2_593_107..=2_593_109 => Request, "phone app could not be synchronised",
        "Chats of the WhatsApp Business app could not be taken over. Connect the app again; there is a \
         limit to how often.";
};
